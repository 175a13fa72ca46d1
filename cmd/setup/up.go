package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"kind-local-registry/internal/host/step"

	"github.com/spf13/cobra"

	"kind-local-registry/internal/host"
)

func newUpCommand() *cobra.Command {
	var options host.Options
	var output printer
	command := &cobra.Command{
		Use:   "up",
		Short: "Bring up registry, cluster, pusher and webhook, or repair them",
		Long: `Bring up registry, cluster, pusher and webhook, or repair them.

A kind cluster that exists is adopted, one that does not is created. Run it again at any time: what is right is left alone.`,
		Example: `  setup up
  setup up --cluster dev --config kind.yaml
  setup up --node-image kindest/node:v1.35.0
  setup up --adopt-only --cluster dev          # never create a cluster
  setup up --registry-image registry:2         # instead of the registry that setup carries
  setup up --rules rules.yaml                  # leave images, namespaces or pods alone`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			output.to(command.ErrOrStderr())
			return up(command.Context(), options, &output, command.OutOrStdout())
		},
	}
	addClusterFlags(command, &options)
	addOutputFlags(command, &output)
	flags := command.Flags()
	flags.StringVar(&options.ConfigFile, "config", "", "kind configuration for a cluster that has to be created")
	flags.StringVar(&options.NodeImage, "node-image", "", "node image for a cluster that has to be created (default kind's)")
	flags.StringVar(&options.RegistryImage, "registry-image", "", "run this registry image, such as registry:2 (default that of the registry that is there, or the one that setup carries)")
	flags.StringVar(&options.RulesFile, "rules", "", "file that says which images, namespaces and pods are left alone, see docs/rules.md (default the rules that are in force)")
	flags.BoolVar(&options.AdoptOnly, "adopt-only", false, "fail where the cluster does not exist")
	return command
}

// up brings everything up, and says on stdout how that ended.
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
