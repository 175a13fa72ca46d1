package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kind-local-registry/internal/host"
	"kind-local-registry/internal/host/step"
	"kind-local-registry/webhook/uninstall"
)

// downOptions contains the flags of setup down.
type downOptions struct {
	host.Options

	output        printer
	registry, yes bool
}

func newDownCommand() *cobra.Command {
	var options downOptions
	command := &cobra.Command{
		Use:   "down",
		Short: "Remove everything that up created, except the registry and its images",
		Long: `Remove everything that up created, except the registry and its images.

If up created the cluster, down deletes it. If up adopted the cluster, down keeps it and removes only our components from it. The
registry and its images are kept for the next up. --registry removes them too: on a terminal, down first asks for
confirmation; elsewhere, it requires --yes.

If neither --cluster nor KIND_CLUSTER_NAME names a cluster, down takes the only one that exists, or else the only one that uses the
registry. If several use it, down fails and lists them.`,
		Example: `  setup down
  setup down --cluster dev
  setup down --registry      # also the registry and its images
  setup down --registry --yes`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			options.output.to(command.ErrOrStderr())
			options.Select = &host.Selection{PreferUser: true} // never asks, because a wrong answer deletes a cluster
			return options.run(command.Context(), command.InOrStdin(), command.OutOrStdout())
		},
	}
	addClusterFlags(command, &options.Options)
	addOutputFlags(command, &options.output)
	flags := command.Flags()
	flags.BoolVar(&options.registry, "registry", false, "also remove the registry and its images")
	flags.BoolVarP(&options.yes, "yes", "y", false, "remove the registry without asking")
	return command
}

// run undoes the steps of setup up.
func (o *downOptions) run(ctx context.Context, stdin io.Reader, stdout io.Writer) (err error) {
	if o.registry && !o.yes && !isTerminal(stdin) {
		return errors.New("--registry removes every image in the registry, and there is no terminal to ask on: confirm with --yes")
	}
	o.Ungate = ungate
	system, unlock, err := host.OpenToChange(ctx, o.Options, o.output.waiting)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if err := o.confirmRegistry(ctx, system, stdin); err != nil {
		return err
	}
	steps := system.StepsDown(ctx, o.registry)
	if err := step.Down(ctx, steps, &o.output); err != nil || o.output.quiet {
		return err
	}
	verdict := "Removed. The registry and its images are kept; setup down --registry removes them too.\n"
	if o.registry {
		verdict = "Removed, with the registry and its images.\n"
	}
	_, err = fmt.Fprint(stdout, verdict)
	return err
}

// ungate uninstalls the webhook and ungates the pods that are still waiting for an image.
func ungate(ctx context.Context, access *rest.Config, registryHost string) error {
	cluster, err := client.New(access, client.Options{})
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	_, err = uninstall.Run(ctx, cluster, registryHost)
	return err
}

// confirmRegistry asks before the registry is removed, unless --yes is set.
func (o *downOptions) confirmRegistry(ctx context.Context, system *host.System, stdin io.Reader) error {
	if !o.registry || o.yes {
		return nil
	}
	loss, err := system.RegistryLoss(ctx)
	if err != nil || loss == "" {
		return err
	}
	return confirm(ctx, stdin, o.output.w, "This removes "+loss+". Continue?")
}
