package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"kind-local-registry/internal/host"
	"kind-local-registry/internal/host/step"
)

func newExportCommand(output *printer) *cobra.Command {
	command := &cobra.Command{Use: "export", Short: "Write logs and settings for a bug report"}
	command.AddCommand(newExportLogsCommand(output))
	return command
}

// exportOptions contains the flags of setup export logs.
type exportOptions struct {
	host.Options

	output *printer
	format *format
}

func newExportLogsCommand(output *printer) *cobra.Command {
	options := exportOptions{output: output}
	command := &cobra.Command{
		Use:   "logs DIR",
		Short: "Write logs and settings for a bug report to a new directory",
		Long: `Write logs and settings for a bug report to a new directory: the output of status and doctor, the logs and settings of setup's
containers, the webhook's objects, Events and logs, and from each node the containerd configuration, every hosts.toml and the ends of
the logs of containerd and the kubelet.

The directory contains no Secrets, no private keys and no images. Credentials in URLs, headers and settings are replaced by <redacted>.
It does contain names of images, pods, nodes and hosts: look through it before you share it.`,
		Example: `  setup export logs kind-local-registry-logs
  tar czf logs.tgz kind-local-registry-logs`,
		Args:        cobra.ExactArgs(1),
		Annotations: map[string]string{interrupted: "the directory is incomplete; remove it, and run the command again"},
		RunE: func(command *cobra.Command, args []string) error {
			options.Select = selection(command, true)
			return options.run(command.Context(), args[0], command.OutOrStdout())
		},
	}
	addClusterFlags(command, &options.Options)
	options.format = newFormat(command, "sentences", "json")
	return command
}

// run writes the bundle and prints what it contains.
func (o *exportOptions) run(ctx context.Context, directory string, stdout io.Writer) error {
	if err := o.format.check(); err != nil {
		return err
	}
	written, err := host.Export(ctx, o.Options, directory, o.output.Begin)
	o.output.done()
	if err != nil {
		return err
	}
	if o.format.json() {
		return printJSON(stdout, written)
	}
	if o.output.quiet {
		return nil
	}
	for _, path := range written.Missing {
		if _, err := fmt.Fprintf(stdout, "%s could not be read; see %s.error\n", path, path); err != nil {
			return err
		}
	}
	count := step.Count(len(written.Files), "file")
	_, err = fmt.Fprintf(stdout, "Wrote %s to %s. Look through them before you share them.\n", count, directory)
	return err
}
