package chart

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"

	"helm.sh/helm/v4/pkg/action"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"kind-local-registry/config"
)

// helm returns Helm's configuration for the webhook's namespace in the cluster.
func (c *Chart) helm() (*action.Configuration, error) {
	access, err := c.cluster.RESTConfig()
	if err != nil {
		return nil, err
	}
	configuration := action.NewConfiguration(action.ConfigurationSetLogger(slog.DiscardHandler))
	if err := configuration.Init(clusterAccess{access}, config.Name, "secret"); err != nil {
		return nil, fmt.Errorf("preparing Helm: %w", err)
	}
	return configuration, nil
}

// fingerprint returns a digest of the chart and its values.
func fingerprint(chart *chart.Chart, values map[string]any) (string, error) {
	document, err := json.Marshal(values)
	if err != nil {
		return "", fmt.Errorf("writing chart values: %w", err)
	}
	sum := sha256.New()
	sum.Write(document)
	for _, file := range chart.Raw {
		sum.Write([]byte(file.Name))
		sum.Write(file.Data)
	}
	return hex.EncodeToString(sum.Sum(nil)[:16]), nil // a label's value may have at most 63 characters
}

// clusterAccess gives Helm access to the cluster without a kubeconfig file (genericclioptions.RESTClientGetter).
type clusterAccess struct{ config *rest.Config }

func (a clusterAccess) ToRESTConfig() (*rest.Config, error) { return a.config, nil }

func (a clusterAccess) ToDiscoveryClient() (discovery.CachedDiscoveryInterface, error) {
	client, err := discovery.NewDiscoveryClientForConfig(a.config)
	if err != nil {
		return nil, err
	}
	return memory.NewMemCacheClient(client), nil
}

func (a clusterAccess) ToRESTMapper() (meta.RESTMapper, error) {
	client, err := a.ToDiscoveryClient()
	if err != nil {
		return nil, err
	}
	return restmapper.NewDeferredDiscoveryRESTMapper(client), nil
}

func (a clusterAccess) ToRawKubeConfigLoader() clientcmd.ClientConfig {
	return clientcmd.NewDefaultClientConfig(api.Config{}, &clientcmd.ConfigOverrides{Context: api.Context{Namespace: config.Name}})
}
