package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"k8s.io/client-go/kubernetes"

	"kind-local-registry/internal/host"
	"kind-local-registry/webhook/watch"
)

// watchOptions contains the flags of setup watch.
type watchOptions struct {
	output    *printer
	format    *format
	cluster   string
	namespace string
	choice    *host.Selection
}

func newWatchCommand(output *printer) *cobra.Command {
	options := watchOptions{output: output}
	command := &cobra.Command{
		Use:   "watch",
		Short: "Show builds, pushes and the pods that run them, as they change",
		Long: `Show builds, pushes and the pods that run them, as they change, until Ctrl-C.

On a terminal, two tables are kept up to date: the images that were built or pushed since setup watch began, and the pods that run the
host's images or cannot pull their image. A pod is stale if the host's tag refers to another build than the pod runs. Elsewhere, and with
-v, there is a line for each change. docs/watch.md explains the states.

setup watch changes nothing. If the pusher or the cluster goes away, it says so and connects again. The exit status is 0 after Ctrl-C.`,
		Example: `  setup watch
  setup watch -n default
  setup watch | tee watch.log                         # a line for each change
  setup watch -o json | jq -c 'select(.pod.state == "stale") | .pod.name'`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		Annotations:       map[string]string{endless: "true"},
		RunE: func(command *cobra.Command, _ []string) error {
			if err := options.check(); err != nil {
				return err
			}
			options.choice = selection(command, true)
			return options.run(command.Context(), command.OutOrStdout())
		},
	}
	options.format = newFormat(command, "tables on a terminal, otherwise a line for each change", "json")
	flags := command.Flags()
	flags.StringVarP(&options.namespace, "namespace", "n", "", "show only the pods in this namespace (default all namespaces)")
	flags.StringVar(&options.cluster, "cluster", "",
		"kind cluster to watch (default $KIND_CLUSTER_NAME, or the cluster that uses the registry)")
	completeClusters(command, "cluster")
	return command
}

// check returns an error if the flags are invalid. It sends no request to Docker.
func (o *watchOptions) check() error {
	if o.output.quiet && !o.format.json() {
		return errors.New("--quiet leaves nothing to show: leave it out, or add -o json")
	}
	return o.format.check()
}

// run watches until ctx ends. It returns an error if there is no pusher or no cluster to begin with.
func (o *watchOptions) run(ctx context.Context, stdout io.Writer) error {
	system, err := host.Open(ctx, host.Options{Cluster: o.cluster, Select: o.choice})
	if err != nil {
		return err
	}
	client, err := system.ConnectPusher(ctx)
	if err != nil {
		return fmt.Errorf("nothing can be watched: %w", err)
	}
	client.Close()
	if err := system.RequireCluster(ctx); err != nil {
		return fmt.Errorf("nothing can be watched: %w", err)
	}
	again := host.Options{Cluster: system.Cluster()}
	view := o.view(stdout, system.Cluster())
	watch.Run(ctx, watch.Options{
		RegistryHost: system.RegistryHost(), Namespace: o.namespace,
		ConnectPusher: func(ctx context.Context) (watch.Pusher, error) {
			return reopen(ctx, again, func(s *host.System) (watch.Pusher, error) { return s.ConnectPusher(ctx) })
		},
		ConnectCluster: func(ctx context.Context) (kubernetes.Interface, error) {
			return reopen(ctx, again, (*host.System).Kube)
		},
	}, view.show)
	view.close()
	return nil
}

// reopen connects through a newly opened system, because setup or kind may have recreated containers since the last connection.
func reopen[Client any](ctx context.Context, options host.Options, connect func(*host.System) (Client, error)) (client Client, err error) {
	system, err := host.Open(ctx, options)
	if err != nil {
		return client, err
	}
	return connect(system)
}

// watchView shows states.
type watchView interface {
	// show is called with each new state.
	show(state watch.State)
	// close is called after the last state.
	close()
}

// view returns the view for the stream and the flags.
func (o *watchOptions) view(stdout io.Writer, cluster string) watchView {
	switch {
	case o.format.json():
		return newWatchLines(stdout, jsonChange, 0, verboseLinesEvery)
	case isTerminal(stdout) && !o.output.verbose:
		return newWatchScreen(stdout, cluster)
	}
	after, every := o.output.pace()
	return newWatchLines(stdout, plainChange, after, every)
}
