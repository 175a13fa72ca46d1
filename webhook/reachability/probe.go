package reachability

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"kind-local-registry/config"
)

// probeTimeout limits how long one probe takes. It is longer than the API server's own timeout for the call, which is 2 s in the
// chart.
const probeTimeout = 4 * time.Second

// errNotCalled is returned if the ConfigMap in the response is unchanged. In that case, the API server does not know the webhook
// configuration yet.
var errNotCalled = errors.New("the API server did not call the webhook")

// probe creates a ConfigMap as a dry run. It can do so any number of times.
type probe struct {
	configMaps typedcorev1.ConfigMapInterface
}

// newProbe returns a probe for the webhook in the namespace.
func newProbe(cluster *rest.Config, namespace string) (probe, error) {
	unpooled, err := unpooledClient(cluster)
	if err != nil {
		return probe{}, err
	}
	cluster = rest.CopyConfig(cluster)
	cluster.QPS = -1 // no rate limit: only one probe runs at a time
	client, err := kubernetes.NewForConfigAndClient(cluster, unpooled)
	if err != nil {
		return probe{}, fmt.Errorf("creating a client for the cluster: %w", err)
	}
	return probe{client.CoreV1().ConfigMaps(namespace)}, nil
}

// unpooledClient returns a client that opens a new connection for each request. If there are several API servers, the requests
// then do not always reach the same one.
func unpooledClient(cluster *rest.Config) (*http.Client, error) {
	security, err := rest.TLSConfigFor(cluster)
	if err != nil {
		return nil, fmt.Errorf("reading the cluster's certificates: %w", err)
	}
	transport, err := rest.HTTPWrappersForConfig(cluster, &http.Transport{
		Proxy: cluster.Proxy, TLSClientConfig: security, DisableKeepAlives: true,
	})
	if err != nil {
		return nil, fmt.Errorf("creating a transport to the cluster: %w", err)
	}
	return &http.Client{Transport: transport}, nil
}

// send sends one probe and returns the name of the webhook pod that answered.
func (p probe) send(ctx context.Context) (answeredBy string, err error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	configMap := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		GenerateName: config.Name + "-probe-", Labels: map[string]string{config.ProbeLabel: "true"},
	}}
	created, err := p.configMaps.Create(ctx, configMap, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		return "", fmt.Errorf("creating a ConfigMap as a dry run: %w", err)
	}
	answeredBy, answered := created.Data[config.ProbeKey]
	if !answered {
		return "", errNotCalled
	}
	return answeredBy, nil
}
