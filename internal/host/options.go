package host

import (
	"errors"
	"fmt"

	"kind-local-registry/internal/host/chart"
	"kind-local-registry/internal/host/cluster"
	"kind-local-registry/internal/host/service"
	"kind-local-registry/internal/rules"
)

// Options are the user's choices.
type Options struct {
	// Cluster is the kind cluster's name; "" for the one in the configuration, else config.Cluster.
	Cluster string
	// ConfigFile is a kind configuration for a new cluster; "" for kind's default.
	ConfigFile string
	// NodeImage is the node image for a new cluster; "" for kind's default.
	NodeImage string
	// AdoptOnly forbids creating the cluster.
	AdoptOnly bool
	// RegistryImage is the image of another registry, such as registry:2; "" for that of the existing registry, else the one that
	// setup carries.
	RegistryImage string
	// RegistryPort is the registry's port on the host's loopback; 0 for that of the existing registry, else config.RegistryPort.
	RegistryPort int
	// RulesFile is a rules file, as in docs/rules.md; "" for the rules of the existing pusher, else the default rules.
	RulesFile string
	// Kubeconfig is the kubeconfig to update; "" for kubectl's default.
	Kubeconfig string
	// Ungate is called when the chart is uninstalled. Only StepsDown needs it.
	Ungate chart.Ungate
}

// Validate returns every fault that is visible in the options alone.
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

// cluster returns the options of the cluster.
func (o Options) cluster() cluster.Options {
	return cluster.Options{
		Name: o.Cluster, ConfigFile: o.ConfigFile, NodeImage: o.NodeImage, AdoptOnly: o.AdoptOnly, Kubeconfig: o.Kubeconfig,
	}
}

// ReadRules returns the rules of a file. Its error has the file and the line of invalid rules.
func ReadRules(file string) (rules.Rules, error) {
	chosen, err := service.ReadRules(file)
	if err != nil {
		return rules.Rules{}, err
	}
	return chosen.Parse()
}
