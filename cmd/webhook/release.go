package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kind-local-registry/config"
	"kind-local-registry/webhook/uninstall"
)

// newReleaseCommand returns the command webhook release.
func newReleaseCommand() *cobra.Command {
	registryHost := config.RegistryHost(config.RegistryPort)
	command := &cobra.Command{
		Use:   "release",
		Short: "Delete the webhook configuration, and let go every pod that waits for an image",
		Long: `Delete the webhook configuration, and let go every pod that waits for an image: it runs what its author wrote. The chart runs
it before it is uninstalled. Pods that cannot be let go are tried for 20 seconds, then named on stderr; the exit status is 0 all the
same, as an uninstallation shall not fail for them.`,
		Example: `  # As the chart runs it, before it is uninstalled
  webhook release --registry-host localhost:5001

  # By hand, in a cluster where pods still wait though the webhook is gone
  KUBECONFIG=~/.kube/config webhook release`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return runRelease(command.Context(), registryHost, command.OutOrStdout(), command.ErrOrStderr())
		},
	}
	command.Flags().StringVar(&registryHost, "registry-host", registryHost, "host that stands for the registry in image references")
	return command
}

// runRelease releases the cluster that the environment names.
func runRelease(ctx context.Context, registryHost string, stdout, stderr io.Writer) error {
	newLogger(stderr, slog.LevelWarn)
	access, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("finding the cluster: %w", err)
	}
	cluster, err := client.New(access, client.Options{})
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	released, err := uninstall.Release(ctx, cluster, registryHost)
	if ctx.Err() != nil {
		return err
	}
	return tellReleased(released, err, stdout, stderr)
}

// tellReleased prints what came of it. That pods are left is told, and is no failure of the program.
func tellReleased(released []client.ObjectKey, err error, stdout, stderr io.Writer) error {
	for _, pod := range released {
		_, _ = fmt.Fprintln(stdout, "let go pod", pod)
	}
	if errors.Is(err, uninstall.ErrPodsLeft) {
		_, _ = fmt.Fprintln(stderr, "webhook:", err)
		return nil
	}
	return err
}
