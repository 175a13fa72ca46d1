package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"kind-local-registry/internal/host"
)

func newDownCommand() *cobra.Command {
	var options host.Options
	var output printer
	var registry bool
	command := &cobra.Command{
		Use:   "down",
		Short: "Take away all that up made, but for the registry and its images",
		Long: `Take away all that up made, but for the registry and its images.

A cluster that up created is deleted; one that it adopted is left, without our parts. The registry stays, so that the next up
finds every image there.`,
		Example: `  setup down
  setup down --cluster dev
  setup down --registry      # the registry and its images too`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			ctx := command.Context()
			output.to(command.ErrOrStderr())
			system, err := host.Open(ctx, options)
			if err != nil {
				return err
			}
			steps := system.StepsDown(ctx, registry)
			if err := host.Down(ctx, steps, &output); err != nil || output.quiet {
				return err
			}
			verdict := "Gone. The registry and its images stay; setup down --registry removes them too.\n"
			if registry {
				verdict = "Gone, the registry and its images too.\n"
			}
			_, err = fmt.Fprint(command.OutOrStdout(), verdict)
			return err
		},
	}
	addClusterFlags(command, &options)
	addOutputFlags(command, &output)
	command.Flags().BoolVar(&registry, "registry", false, "remove the registry and its images too")
	return command
}
