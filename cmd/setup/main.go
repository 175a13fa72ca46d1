// Command setup makes kind clusters run images from the host's Docker daemon. It creates, checks, repairs and removes a registry,
// a pusher and a webhook.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"kind-local-registry/config"
)

func main() {
	caught := catch(context.Background(), os.Stderr, os.Exit)
	command, err := run(caught.ctx, arguments(os.Args), os.Stdout, os.Stderr)
	os.Exit(caught.end(command, err))
}

// run executes setup with the given arguments and streams. It returns the command that ran.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (*cobra.Command, error) {
	root := newCommand() //nolint:contextcheck // cobra passes the context to the commands
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	command, err := root.ExecuteContextC(ctx)
	if err != nil && strings.HasPrefix(err.Error(), "unknown command") && !strings.Contains(err.Error(), "\n") {
		err = fmt.Errorf("%w; see %s --help", err, command.CommandPath())
	}
	return command, err
}

// newCommand returns the command setup with its subcommands.
func newCommand() *cobra.Command {
	output := &printer{}
	root := &cobra.Command{
		Use:   "setup",
		Short: "Run images from the host's Docker daemon in kind clusters, with unchanged manifests",
		Long: `Run images from the host's Docker daemon in kind clusters, with unchanged manifests.

Run setup up once for each cluster. From then on, docker build and kubectl apply are enough: pods run the host's images without
kind load.`,
		Version:       config.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Example: `  setup up                  # registry, cluster, pusher and webhook; safe to repeat
  setup push example/app    # after docker build: push before a pod needs the image
  setup explain -f app.yaml # which image each container would run, and why
  setup watch               # builds, pushes and pods, as they change
  setup status              # check every step, and show how to repair what fails
  setup doctor              # find the broken link if pods do not run
  setup images              # what is in the registry and on the nodes, and what uses it
  setup prune               # remove images that nothing uses
  setup down                # remove everything; the registry keeps its images`,
		PersistentPreRunE: func(command *cobra.Command, _ []string) error { return output.open(command.ErrOrStderr()) },
	}
	output.addFlags(root)
	root.SetFlagErrorFunc(func(command *cobra.Command, err error) error {
		return fmt.Errorf("%w; see %s --help", err, command.CommandPath())
	})
	root.AddCommand(newUpCommand(output), newPushCommand(output), newExplainCommand(output), newStatusCommand(output),
		newDoctorCommand(output), newExportCommand(output), newDownCommand(output), newKindConfigCommand(), newKindCommand(),
		newImagesCommand(output), newPruneCommand(output), newVerifyCommand(output), newWatchCommand(output), newVersionCommand(output))
	return root
}
