package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"kind-local-registry/internal/host"
)

// imagesOptions contains the flags of setup images.
type imagesOptions struct {
	output *printer
	format *format
}

func newImagesCommand(output *printer) *cobra.Command {
	options := imagesOptions{output: output}
	command := &cobra.Command{
		Use:   "images",
		Short: "List the images on the host, in the registry and on the nodes, and what uses them",
		Long: `List the images on the host, in the registry and on the nodes, and what uses them.

SIZE is the image's total size in the registry, or on the host if the registry does not have it. OWN is the size in the registry that no
other image shares. HOST shows whether a tag on the host refers to this build. NODES is the number of nodes that have the image. USED BY
names a pod that uses the image, or an object that creates pods and names the image. An image that nothing uses can be removed with
setup prune.`,
		Example: `  setup images
  setup images -o json | jq '[.images[] | select(.used | not) | .ownBytes] | add'`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := options.format.check(); err != nil {
				return err
			}
			return options.run(command.Context(), command.OutOrStdout())
		},
	}
	options.format = newFormat(command, "text", "json")
	return command
}

// run prints the images.
func (o *imagesOptions) run(ctx context.Context, stdout io.Writer) error {
	system, err := host.Open(ctx, host.Options{})
	if err != nil {
		return err
	}
	progress := newDiskProgress(o.output)
	found, err := system.Disk().Images(ctx, progress.step)
	progress.end()
	if err != nil {
		return err
	}
	return o.print(stdout, found)
}
