// Command setup makes images of the host's Docker daemon run in kind clusters: it brings up a registry, a pusher and a
// webhook, keeps them in agreement, shows how they stand, and takes them away again.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"kind-local-registry/config"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "setup:", err)
		os.Exit(1)
	}
}

// run is setup with everything that it touches passed in.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	root := newCommand() //nolint:contextcheck // cobra hands the context on
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return root.ExecuteContext(ctx)
}

// newCommand returns setup with its subcommands.
func newCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "setup",
		Short:         "Run images of the host's Docker daemon in kind clusters, unchanged manifests and all",
		Version:       config.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Example: `  setup up                  # registry, cluster, pusher and webhook; safe to repeat
  setup push example/app    # after docker build: have it in the registry before a pod asks for it
  setup explain -f app.yaml # what would become of each image, and why
  setup status              # each piece, and what to do about one that is not right
  setup down                # take it all away; the registry keeps its images`,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(newUpCommand(), newPushCommand(), newExplainCommand(), newStatusCommand(), newDownCommand())
	return root
}
