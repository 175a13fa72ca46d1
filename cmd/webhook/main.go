// Command webhook is the part of kind-local-registry that runs in the cluster (serve), the container beside it that
// speaks to the Docker daemon (pusher), what answers AdmissionReviews from a file (review), what waits until the API
// server's calls arrive (ready), and what takes the webhook out of a cluster (release).
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

// run is the program, but for what belongs to the process.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	root := &cobra.Command{
		Use:           "webhook",
		Short:         "Make pods run the images of the host's Docker daemon",
		Version:       config.Version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(newServeCommand(), newPusherCommand()) //nolint:contextcheck // cobra hands the context on
	root.AddCommand(newReviewCommand(), newReadyCommand(), newUninstallCommand())
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return root.ExecuteContext(ctx)
}
