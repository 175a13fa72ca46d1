package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"kind-local-registry/config"
	"kind-local-registry/internal/host"
)

// addClusterFlags adds the flags for the cluster and the registry's port.
func addClusterFlags(command *cobra.Command, options *host.Options) {
	flags := command.Flags()
	flags.StringVar(&options.Cluster, "cluster", "",
		"name of the kind cluster (default $KIND_CLUSTER_NAME, or the cluster that uses the registry)")
	flags.IntVar(&options.RegistryPort, "registry-port", 0, fmt.Sprintf(
		"port of the registry on 127.0.0.1 (default %d, or the port of the existing registry)", config.RegistryPort))
	flags.StringVar(&options.Kubeconfig, "kubeconfig", "", "kubeconfig file (default $KUBECONFIG or ~/.kube/config)")
	completeClusters(command, "cluster")
	complete(command, "registry-port")
}
