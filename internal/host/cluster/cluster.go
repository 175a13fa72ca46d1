package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"
	"sigs.k8s.io/kind/pkg/cluster"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/engine"
	"kind-local-registry/internal/host/step"
)

// ErrNotFound means that the cluster does not exist.
var ErrNotFound = errors.New("no such kind cluster")

// labelsTimeout is how long NamespaceLabels waits for the cluster.
const labelsTimeout = time.Second

// Options describe the cluster.
type Options struct {
	// Name is the cluster's name. "" means the name in KIND_CLUSTER_NAME or else in the kind configuration, or config.Cluster if
	// neither has one.
	Name string
	// ConfigFile is a kind configuration for a new cluster. "" means kind's default.
	ConfigFile string
	// NodeImage is the node image for a new cluster. "" means kind's default.
	NodeImage string
	// AdoptOnly forbids creating the cluster.
	AdoptOnly bool
	// Kubeconfig is the kubeconfig to update. "" means kubectl's default.
	Kubeconfig string
}

// Cluster is a kind cluster that may not exist yet.
type Cluster struct {
	options    Options
	named      bool // whether the user named the cluster; false if Select took the only one, or if the name is the default
	kindConfig *v1alpha4.Cluster
	engine     *engine.Engine
	access     *rest.Config // to the API server; nil before the first RESTConfig
}

// New returns the cluster that the options name. It reads the kind configuration, but contacts neither Docker nor kind.
func New(docker *engine.Engine, options Options) (*Cluster, error) {
	kindConfig, err := readKindConfig(options.ConfigFile, docker.CgroupV1)
	if err != nil {
		return nil, err
	}
	options.Name = nameOf(options.Name, kindConfig.Name)
	named := options.Name != ""
	if !named {
		options.Name = config.Cluster
	}
	return &Cluster{options: options, named: named, kindConfig: kindConfig, engine: docker}, nil
}

// Name returns the cluster's name.
func (c *Cluster) Name() string { return c.options.Name }

// Preflight returns an error if the cluster can be neither adopted nor created.
func (c *Cluster) Preflight(ctx context.Context) error {
	exists, err := c.exists(ctx)
	if err != nil || exists {
		return err
	}
	if c.options.AdoptOnly {
		return step.Remedy(fmt.Errorf("there is no kind cluster %q and --adopt-only forbids creating it", c.Name()),
			"see kind get clusters, or leave --adopt-only out")
	}
	return checkKubeconfig(c.options.Kubeconfig)
}

// provider returns kind's provider for Docker, which reports to progress unless progress is nil.
func (c *Cluster) provider(progress step.Progress) *cluster.Provider {
	if progress == nil {
		return cluster.NewProvider(cluster.ProviderWithDocker(), cluster.ProviderWithLogger(quietLogger{}))
	}
	return cluster.NewProvider(cluster.ProviderWithDocker(), cluster.ProviderWithLogger(progressLogger{progress}))
}

// exists reports whether the cluster has containers.
func (c *Cluster) exists(ctx context.Context) (bool, error) {
	containers, err := c.containers(ctx)
	return len(containers) > 0, err
}

// RESTConfig returns the configuration for access to the cluster's API server. It reads the configuration from the cluster's node
// because a kubeconfig may be out of date. The error is ErrNotFound if the cluster does not exist.
func (c *Cluster) RESTConfig() (*rest.Config, error) {
	if c.access != nil {
		return c.access, nil
	}
	nodes, err := c.provider(nil).ListNodes(c.Name())
	if err != nil {
		return nil, fmt.Errorf("listing the nodes of kind cluster %s: %w", c.Name(), err)
	}
	if len(nodes) == 0 {
		return nil, fmt.Errorf("%w %q", ErrNotFound, c.Name())
	}
	raw, err := c.provider(nil).KubeConfig(c.Name(), false)
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig of kind cluster %s: %w", c.Name(), err)
	}
	access, err := clientcmd.RESTConfigFromKubeConfig([]byte(raw))
	if err != nil {
		return nil, fmt.Errorf("parsing the kubeconfig of kind cluster %s: %w", c.Name(), err)
	}
	access.QPS, access.Burst = 50, 100
	c.access = access
	return access, nil
}

// Server returns the URL of the cluster's API server.
func (c *Cluster) Server() (string, error) {
	access, err := c.RESTConfig()
	if err != nil {
		return "", err
	}
	return access.Host, nil
}

// Kube returns a client for the cluster's API server. The error is ErrNotFound if the cluster does not exist.
func (c *Cluster) Kube() (kubernetes.Interface, error) {
	access, err := c.RESTConfig()
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(access)
}

// Require returns an error, with a remedy, if the cluster does not exist.
func (c *Cluster) Require(ctx context.Context) error {
	exists, err := c.exists(ctx)
	if err == nil && !exists {
		err = step.Remedy(fmt.Errorf("%w %q", ErrNotFound, c.Name()), "run setup up, or see kind get clusters and name one with --cluster")
	}
	return err
}

// NamespaceLabels returns the labels of every namespace in the cluster, keyed by namespace. It returns nil if the cluster does
// not exist or does not answer within one second, because setup explain also works without a cluster.
func (c *Cluster) NamespaceLabels(ctx context.Context) map[string]map[string]string {
	ctx, cancel := context.WithTimeout(ctx, labelsTimeout)
	defer cancel()
	kube, err := c.Kube()
	if err != nil {
		return nil
	}
	namespaces, err := kube.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil
	}
	labels := map[string]map[string]string{}
	for i := range namespaces.Items {
		labels[namespaces.Items[i].Name] = namespaces.Items[i].Labels
	}
	return labels
}

// PrefersIPv6 reports whether the cluster's first IP family is IPv6.
func (c *Cluster) PrefersIPv6(ctx context.Context) (bool, error) {
	kube, err := c.Kube()
	if err != nil {
		return false, err
	}
	service, err := kube.CoreV1().Services(metav1.NamespaceDefault).Get(ctx, "kubernetes", metav1.GetOptions{})
	if err != nil {
		return false, fmt.Errorf("reading Service kubernetes: %w", err)
	}
	return len(service.Spec.IPFamilies) > 0 && service.Spec.IPFamilies[0] == "IPv6", nil
}
