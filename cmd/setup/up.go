package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"kind-local-registry/config"
	"kind-local-registry/internal/host"
	"kind-local-registry/internal/host/step"
)

func newUpCommand() *cobra.Command {
	var options host.Options
	var output printer
	command := &cobra.Command{
		Use:   "up",
		Short: "Create or repair the registry, cluster, pusher and webhook",
		Long: `Create or repair the registry, cluster, pusher and webhook.

If the kind cluster exists, up adopts it; otherwise, up creates it. You can repeat up at any time: it changes only what fails a check.

If neither --cluster, KIND_CLUSTER_NAME nor the kind configuration names a cluster, up adopts the only cluster that exists. If there
are several, up asks which one to adopt, or fails without a terminal. If there is none, up creates "` + config.Cluster + `".`,
		Example: `  setup up
  setup up --cluster dev --config kind.yaml
  setup up --node-image kindest/node:v1.35.0
  setup up --adopt-only --cluster dev          # never create a cluster
  setup up --registry-image registry:2         # instead of the registry that is built into setup
  setup up --link=off                          # nodes pull every layer
  setup up --rules rules.yaml                  # exclude images, namespaces or pods from rewriting`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			output.to(command.ErrOrStderr())
			options.Select = selection(command, false)
			return up(command.Context(), options, &output, command.OutOrStdout())
		},
	}
	addClusterFlags(command, &options)
	addOutputFlags(command, &output)
	flags := command.Flags()
	flags.Lookup("cluster").Usage = "name of the kind cluster (default $KIND_CLUSTER_NAME, the name in --config, or the only cluster)"
	flags.Lookup("kubeconfig").Usage = "kubeconfig file to update (default $KUBECONFIG or ~/.kube/config)"
	flags.StringVar(&options.ConfigFile, "config", "", "kind configuration for a new cluster")
	flags.StringVar(&options.NodeImage, "node-image", "", "node image for a new cluster (default kind's)")
	flags.StringVar(&options.RegistryImage, "registry-image", "", "registry image to run, such as registry:2 (default the image of the existing registry, or the one built into setup)")
	flags.StringVar(&options.RulesFile, "rules", "", "file with rules that exclude images, namespaces and pods from rewriting; see docs/rules.md (default the rules in force)")
	flags.StringVar(&options.Link, "link", "", "auto: nodes get layers as hard links where possible; off: nodes pull every layer (default the current setting, or auto)")
	flags.BoolVar(&options.AdoptOnly, "adopt-only", false, "fail if the cluster does not exist")
	return command
}

// up applies every step, and prints the outcome to stdout.
func up(ctx context.Context, options host.Options, output *printer, stdout io.Writer) (err error) {
	system, unlock, err := host.OpenToChange(ctx, options, output.waiting)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if err := system.Preflight(ctx); err != nil {
		return err
	}
	changed, err := step.Up(ctx, system.Steps(), output)
	if err != nil || output.quiet {
		return err
	}
	verdict := "Ready: images of this host's Docker daemon now run in kind cluster %q.\n"
	if !changed {
		verdict = "Nothing to change: kind cluster %q is ready.\n"
	}
	_, err = fmt.Fprintf(stdout, verdict, system.Cluster())
	return err
}
