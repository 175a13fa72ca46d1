package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"kind-local-registry/config"
	"kind-local-registry/webhook/reachability"
)

// readyOptions contains the flags of webhook ready.
type readyOptions struct {
	namespace string        // namespace of the webhook
	need      int           // consecutive calls that must reach the webhook
	timeout   time.Duration // how long to wait for these calls
}

// newReadyCommand returns the command webhook ready.
func newReadyCommand() *cobra.Command {
	var options readyOptions
	command := &cobra.Command{
		Use:   "ready",
		Short: "Wait until the API server's calls reach the webhook",
		Long: `Wait until the API server's calls reach the webhook. After that, every new pod is rewritten. The chart runs this command at the
end of each installation and upgrade. The command repeatedly creates a ConfigMap as a dry run, which stores nothing, and checks
whether the webhook was called.

If the cluster has several API servers, each call goes to a random API server, so some may not be tested. Some replicas of the
webhook may not be tested either, because an API server keeps its connection to one replica.`,
		Example: `  # As the chart runs it
  webhook ready --namespace kind-local-registry

  # From the host, with the kubeconfig that kubectl uses
  webhook ready --timeout 10s`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return runReady(command.Context(), options, command.OutOrStdout(), command.ErrOrStderr())
		},
	}
	flags := command.Flags()
	flags.StringVar(&options.namespace, "namespace", config.Name, "namespace of the webhook")
	flags.IntVar(&options.need, "need", 5, "consecutive calls that must reach the webhook")
	flags.DurationVar(&options.timeout, "timeout", time.Minute, "how long to wait for these calls")
	return command
}

// validate returns an error that lists every invalid flag.
func (o readyOptions) validate() error {
	var faults []error
	if o.need < 1 {
		faults = append(faults, fmt.Errorf("--need %d is not positive", o.need))
	}
	if o.timeout <= 0 {
		faults = append(faults, fmt.Errorf("--timeout %s is not positive", o.timeout))
	}
	return errors.Join(faults...)
}

// runReady waits until the API server's calls reach the webhook. Its error is a single line, because people look at the last line
// of a Job's log.
func runReady(ctx context.Context, options readyOptions, stdout, stderr io.Writer) error {
	if err := options.validate(); err != nil {
		return err
	}
	newLogger(stderr, slog.LevelWarn)
	cluster, err := findCluster()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, options.timeout)
	defer cancel()
	answeredBy, err := reachability.Await(ctx, reachability.Options{
		Cluster: cluster, Namespace: options.namespace, Need: options.need,
		Report: func(line string) { _, _ = fmt.Fprintln(stderr, line) },
	})
	if err != nil {
		return fmt.Errorf("the API server's calls do not reach the webhook: %w; see kubectl get pods,endpointslices -n %s, "+
			"and kubectl logs deployment/%s -n %s", err, options.namespace, config.Name, options.namespace)
	}
	_, err = fmt.Fprintf(stdout, "ready: %d consecutive calls reached the webhook, the last at %s\n", options.need, answeredBy)
	return err
}
