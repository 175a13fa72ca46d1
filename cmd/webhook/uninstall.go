package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kind-local-registry/config"
	"kind-local-registry/webhook/uninstall"
)

// newUninstallCommand returns the command webhook uninstall.
func newUninstallCommand() *cobra.Command {
	registryHost := config.RegistryHost(config.RegistryPort)
	command := &cobra.Command{
		Use:   "uninstall",
		Short: "Delete the webhook configuration and ungate every pod that is waiting for an image",
		Long: `Delete the webhook configuration and ungate every pod that is waiting for an image. These pods run their original images. Helm runs
this command before it uninstalls the chart. If a pod cannot be ungated, the command retries for 20 seconds and then prints the
pod's name on stderr. The exit status is 0 even then, so that such a pod does not block helm uninstall.`,
		Example: `  # As the chart runs it, before Helm uninstalls it
  webhook uninstall --registry-host localhost:5001

  # By hand, in a cluster where pods are still waiting after the webhook was deleted
  KUBECONFIG=~/.kube/config webhook uninstall`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return runUninstall(command.Context(), registryHost, command.OutOrStdout(), command.ErrOrStderr())
		},
	}
	command.Flags().StringVar(&registryHost, "registry-host", registryHost, "registry's host in rewritten images")
	return command
}

// runUninstall uninstalls the webhook from the cluster that findCluster finds.
func runUninstall(ctx context.Context, registryHost string, stdout, stderr io.Writer) error {
	newLogger(stderr, slog.LevelWarn)
	access, err := findCluster()
	if err != nil {
		return err
	}
	cluster, err := client.New(access, client.Options{})
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	ungated, err := uninstall.Run(ctx, cluster, registryHost)
	if ctx.Err() != nil {
		return err
	}
	return reportUngated(ungated, err, stdout, stderr)
}

// reportUngated prints the ungated pods to stdout. If err means that some pods are still gated, it prints err to stderr and
// returns nil. It returns any other err.
func reportUngated(ungated []client.ObjectKey, err error, stdout, stderr io.Writer) error {
	for _, pod := range ungated {
		_, _ = fmt.Fprintln(stdout, "ungated pod", pod)
	}
	if errors.Is(err, uninstall.ErrPodsLeft) {
		_, _ = fmt.Fprintln(stderr, "webhook:", err)
		return nil
	}
	return err
}
