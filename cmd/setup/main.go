// Command setup makes kind clusters run images from the host's Docker daemon. It creates, checks, repairs and removes a registry,
// a pusher and a webhook.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/kindcli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, arguments(os.Args), os.Stdout, os.Stderr)
	stop()
	if kind, failed := errors.AsType[*kindcli.ExitError](err); failed {
		os.Exit(kind.Code) // kind has printed its error
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "setup:", err)
		os.Exit(1)
	}
}

// run executes setup with the given arguments and streams.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	root := newCommand() //nolint:contextcheck // cobra passes the context to the commands
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return root.ExecuteContext(ctx)
}

// newCommand returns the command setup with its subcommands.
func newCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "setup",
		Short:         "Run images from the host's Docker daemon in kind clusters, with unchanged manifests",
		Version:       config.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Example: `  setup up                  # registry, cluster, pusher and webhook; safe to repeat
  setup push example/app    # after docker build: push before a pod needs the image
  setup explain -f app.yaml # which image each container would run, and why
  setup status              # check every step, and show how to repair what fails
  setup down                # remove everything; the registry keeps its images`,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(
		newUpCommand(), newPushCommand(), newExplainCommand(), newStatusCommand(), newDownCommand(), newKindConfigCommand(), newKindCommand(),
	)
	return root
}
