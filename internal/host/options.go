package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"

	"kind-local-registry/config"
	kindconfig "kind-local-registry/internal/host/cluster"
)

// Options is what a user may choose.
type Options struct {
	// Cluster is the kind cluster's name; "" for the configuration's, else config.Cluster.
	Cluster string
	// ConfigFile is a kind configuration for a cluster that has to be created; "" for kind's default.
	ConfigFile string
	// NodeImage is the node image for a cluster that has to be created; "" for kind's default.
	NodeImage string
	// AdoptOnly refuses to create a cluster.
	AdoptOnly bool
	// RegistryImage is another registry's image, such as registry:2; "" for that of the registry that is there, else the
	// one that setup carries.
	RegistryImage string
	// RegistryPort is the registry's port on the host's loopback; 0 for that of the registry that is there, else
	// config.RegistryPort.
	RegistryPort int
	// RulesFile is a file with the rules, as in docs/rules.md; "" for those of the pusher that is there, else the defaults.
	RulesFile string
	// Kubeconfig is the file that a created cluster is entered in; "" for kubectl's default.
	Kubeconfig string
	// Ungate ungates the pods that still wait for an image when the chart is uninstalled. registryHost is the registry's host in
	// their images.
	Ungate func(ctx context.Context, access *rest.Config, registryHost string) error
}

// Validate returns every fault of the options that can be seen without asking anybody.
func (o Options) Validate() error {
	var faults []error
	if o.RegistryPort < 0 || o.RegistryPort > 65535 {
		faults = append(faults, fmt.Errorf("--registry-port %d is no port: choose one from 1 to 65535", o.RegistryPort))
	}
	if o.AdoptOnly && o.ConfigFile != "" {
		faults = append(faults, errors.New("--config describes a cluster to create and --adopt-only forbids that: give one of them"))
	}
	return errors.Join(faults...)
}

// readKindConfig reads the kind configuration that the options name.
func (o Options) readKindConfig(cgroupV1 bool) (*v1alpha4.Cluster, error) {
	var document []byte
	if o.ConfigFile != "" {
		var err error
		if document, err = os.ReadFile(o.ConfigFile); err != nil {
			return nil, remedy(fmt.Errorf("reading the kind configuration: %w", err), "name a readable file with --config")
		}
	}
	cluster, err := kindconfig.KindConfig(document, cgroupV1)
	if err != nil {
		return nil, remedy(fmt.Errorf("%s: %w", o.ConfigFile, err), "see https://kind.sigs.k8s.io/docs/user/configuration/")
	}
	return cluster, nil
}

// checkKubeconfig reads the kubeconfig that kind is going to write to: better to fail now than after a cluster is made.
func (o Options) checkKubeconfig() error {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.Kubeconfig
	for _, file := range rules.GetLoadingPrecedence() {
		if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
			continue
		}
		if _, err := clientcmd.LoadFromFile(file); err != nil {
			return remedy(fmt.Errorf("reading kubeconfig %s: %w", file, err), "mend or move it, or choose another with --kubeconfig")
		}
	}
	return nil
}

// hasContext says whether the kubeconfig has a context of that name.
func (o Options) hasContext(name string) bool {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.Kubeconfig
	loaded, err := rules.Load()
	return err == nil && loaded.Contexts[name] != nil
}

// checkPort says whether the registry's port is free on the loopback.
func (o Options) checkPort(ctx context.Context) error {
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(o.RegistryPort))
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return remedy(fmt.Errorf("port %d of 127.0.0.1 is taken by something other than %s", o.RegistryPort, config.RegistryContainer),
			"stop what listens there (ss -ltnp), or choose another with --registry-port")
	}
	return listener.Close()
}
