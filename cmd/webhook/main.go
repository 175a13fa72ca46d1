// Command webhook runs the webhook in the cluster (serve) or the pusher in a container on the host (pusher). Four more commands
// are tools: review answers AdmissionReviews from stdin, ready waits until the API server's calls reach the webhook, reach shows
// whether a pod's network reaches a URL, and uninstall removes the webhook from a cluster.
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
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "webhook:", err)
		os.Exit(1)
	}
}

// run executes webhook with the given arguments and streams.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	root := &cobra.Command{
		Use:           "webhook",
		Short:         "Make pods run images from the host's Docker daemon",
		Version:       config.Version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(newServeCommand(), newPusherCommand()) //nolint:contextcheck // cobra passes the context on
	root.AddCommand(newReviewCommand(), newReadyCommand(), newUninstallCommand(), newReachCommand())
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return root.ExecuteContext(ctx)
}
