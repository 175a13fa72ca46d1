package host

import (
	"errors"
	"fmt"

	"kind-local-registry/internal/disk"
	"kind-local-registry/internal/host/chart"
	"kind-local-registry/internal/host/cluster"
	"kind-local-registry/internal/host/service"
	"kind-local-registry/internal/rules"
)

// Options are the user's choices.
type Options struct {
	// Cluster is the kind cluster's name. "" means the name in KIND_CLUSTER_NAME or else in ConfigFile. If neither has one, Select
	// decides.
	Cluster string
	// Select describes how to select a cluster if the user names none. nil means that the command needs no cluster.
	Select *Selection
	// ConfigFile is a kind configuration for a new cluster. "" means kind's default.
	ConfigFile string
	// NodeImage is the node image for a new cluster. "" means kind's default.
	NodeImage string
	// AdoptOnly forbids creating the cluster.
	AdoptOnly bool
	// RegistryImage is the image to run as the registry, such as registry:2. "" means the image that the user chose for the existing
	// registry, or the image that setup carries.
	RegistryImage string
	// RegistryPort is the registry's port on the host's loopback. 0 means the port of the existing registry, or config.RegistryPort
	// if there is none.
	RegistryPort int
	// RulesFile is a rules file; see docs/rules.md. "" means the rules of the existing pusher, or the default rules if there is
	// none.
	RulesFile string
	// Link is auto if nodes get layers as hard links where possible, and off if nodes pull every layer. "" keeps the setting of
	// the existing pusher, and means auto if there is no pusher.
	Link string
	// KeepStorage limits the registry's storage, such as 20GB, or is off. "" keeps the setting of the existing pusher, and means off
	// if there is no pusher.
	KeepStorage string
	// RestartOnRebuild makes the webhook restart workloads that ask for it on a rebuild. nil keeps the setting of the installed
	// webhook, and means false if there is none.
	RestartOnRebuild *bool
	// Kubeconfig is the kubeconfig to update. "" means kubectl's default.
	Kubeconfig string
	// Ungate is called when the chart is uninstalled. It is required only for StepsDown.
	Ungate chart.Ungate
}

// Selection describes how to select one of the existing clusters.
type Selection = cluster.Selection

// Validate reports every invalid option and combination of options. It reads no files.
func (o Options) Validate() error {
	var faults []error
	if o.RegistryPort < 0 || o.RegistryPort > 65535 {
		faults = append(faults, fmt.Errorf("--registry-port %d is no port: choose one from 1 to 65535", o.RegistryPort))
	}
	if o.Link != "" && o.Link != "auto" && o.Link != "off" {
		faults = append(faults, fmt.Errorf("--link %q is unknown: choose auto or off", o.Link))
	}
	if _, err := disk.ParseLimit(o.KeepStorage); err != nil {
		faults = append(faults, fmt.Errorf("--keep-storage: %w", err))
	}
	if o.AdoptOnly && o.ConfigFile != "" {
		faults = append(faults, errors.New("--config describes a cluster to create and --adopt-only forbids that: give one of them"))
	}
	return errors.Join(faults...)
}

// cluster returns the options that concern the cluster.
func (o Options) cluster() cluster.Options {
	return cluster.Options{
		Name: o.Cluster, ConfigFile: o.ConfigFile, NodeImage: o.NodeImage, AdoptOnly: o.AdoptOnly, Kubeconfig: o.Kubeconfig,
	}
}

// ReadRules reads a rules file. If the rules are invalid, the error names the file and the line.
func ReadRules(file string) (rules.Rules, error) {
	chosen, err := service.ReadRules(file)
	if err != nil {
		return rules.Rules{}, err
	}
	return chosen.Parse()
}
