package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"kind-local-registry/config"
	"kind-local-registry/internal/host"
)

// addClusterFlags adds the flags that say which cluster and which registry are meant.
func addClusterFlags(command *cobra.Command, options *host.Options) {
	flags := command.Flags()
	flags.StringVar(&options.Cluster, "cluster", "", "name of the kind cluster (default \""+config.Cluster+"\", or the one in --config)")
	flags.IntVar(&options.RegistryPort, "registry-port", 0, fmt.Sprintf(
		"port of the registry on 127.0.0.1 (default %d, or that of the registry that is there)", config.RegistryPort))
	flags.StringVar(&options.Kubeconfig, "kubeconfig", "", "kubeconfig that a created cluster is entered in (default as kubectl)")
}

// addOutputFlags adds the flags that say how much is printed.
func addOutputFlags(command *cobra.Command, output *printer) {
	command.Flags().BoolVarP(&output.quiet, "quiet", "q", false, "print errors only")
	command.Flags().BoolVarP(&output.verbose, "verbose", "v", false, "print what each step is doing")
}
