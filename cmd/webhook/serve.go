package main

import (
	"context"
	"errors"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"kind-local-registry/internal/docker"
	"kind-local-registry/internal/push"
	"kind-local-registry/internal/pusher"
	"kind-local-registry/internal/rules"
	"kind-local-registry/webhook/app"
)

// serveOptions contains the flags of webhook serve.
type serveOptions struct {
	app.Options

	service      string     // Service of the webhook
	pusher       string     // host:port of the pusher
	credentials  string     // directory that contains the client certificate for the pusher
	dockerSocket string     // path of the Docker socket; "" to use a pusher
	registry     string     // URL of the registry's API; required with dockerSocket
	rules        string     // file that contains the rules; "" for the default rules
	level        slog.Level // lowest level that is logged
}

// newServeCommand returns the command webhook serve.
func newServeCommand() *cobra.Command {
	options := serveOptions{Options: app.Defaults()}
	command := &cobra.Command{
		Use:   "serve",
		Short: "Rewrite pods' images at admission and deliver images that the registry lacks",
		Long: `Serve the admission webhook and deliver images. If an image is on the host but not in the registry, it is pushed while its pod is
gated. The chart runs this command. Images are looked up and pushed by a pusher, or by this process if it has access to the Docker
socket.`,
		Example: `  # As the chart runs it
  webhook serve --pusher kind-local-registry-pusher.kind-local-registry.svc:5443 \
    --pusher-credentials /etc/kind-local-registry/pusher

  # Without a pusher, in a cluster whose nodes have the host's Docker socket
  webhook serve --docker-socket /run/docker.sock --registry http://172.18.255.254:5000`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return runServe(command.Context(), options, command.ErrOrStderr())
		},
	}
	flags := command.Flags()
	flags.StringVar(&options.pusher, "pusher", "", "host and port of the pusher")
	flags.StringVar(&options.credentials, "pusher-credentials", "",
		"directory that contains ca.crt, tls.crt and tls.key for the pusher; the files may be created later and may change")
	flags.StringVar(&options.dockerSocket, "docker-socket", "", "path of the Docker socket, instead of a pusher")
	flags.StringVar(&options.registry, "registry", "", "URL of the registry's API; required with --docker-socket")
	flags.StringVar(&options.rules, "rules", "", "file that contains the rules (docs/rules.md); changes are reloaded (default: the default rules)")
	flags.StringVar(&options.RegistryHost, "registry-host", options.RegistryHost,
		"registry's host in rewritten images")
	flags.StringVar(&options.Namespace, "namespace", options.Namespace, "namespace of this process")
	flags.StringVar(&options.service, "service", options.Namespace, "Service through which the API server reaches this process")
	flags.DurationVar(&options.PushDeadline, "push-deadline", options.PushDeadline,
		"age of a gated pod at which pushing is given up and the pod runs its original images")
	flags.BoolVar(&options.RestartOnRebuild, "restart-on-rebuild", false,
		"restart workloads that ask for it when the host has a newer build of their image")
	flags.BoolVar(&options.LeaderElection, "leader-elect", options.LeaderElection, "elect one of several replicas to deliver images")
	flags.IntVar(&options.WebhookPort, "webhook-port", options.WebhookPort, "port of the webhook")
	flags.IntVar(&options.HealthPort, "health-port", options.HealthPort, "port of /healthz and /readyz")
	flags.IntVar(&options.MetricsPort, "metrics-port", options.MetricsPort, "port of /metrics; 0 disables metrics")
	flags.TextVar(&options.level, "log-level", slog.LevelInfo, "lowest level to log: debug, info, warn or error")
	return command
}

// validate returns an error if the flags contradict each other or are incomplete. app.Run validates their values.
func (o serveOptions) validate() error {
	switch {
	case (o.pusher == "") == (o.dockerSocket == ""):
		return errors.New("give either --pusher or --docker-socket")
	case o.pusher != "" && o.credentials == "":
		return errors.New("--pusher requires --pusher-credentials")
	case o.dockerSocket != "" && o.registry == "":
		return errors.New("--docker-socket requires --registry")
	}
	return nil
}

// runServe serves until ctx ends.
func runServe(ctx context.Context, options serveOptions, stderr io.Writer) error {
	if err := options.validate(); err != nil {
		return err
	}
	options.DNSNames = app.ServiceNames(options.service, options.Namespace)
	log := newLogger(stderr, options.level)
	rulesFile, err := app.OpenRules(options.rules, log)
	if err != nil {
		return err
	}
	options.Rules = rulesFile
	cluster, err := findCluster()
	if err != nil {
		return err
	}
	if options.dockerSocket == "" {
		client := pusher.NewReloadingClient(options.pusher, options.credentials)
		defer client.Close()
		return app.Run(ctx, cluster, options.Options, webhookPusher{client, client.Events}, log)
	}
	registry, err := push.NewRegistry(options.registry)
	if err != nil {
		return err
	}
	defer registry.Close()
	daemon, err := docker.New("unix://" + options.dockerSocket)
	if err != nil {
		return err
	}
	defer func() { _ = daemon.Close() }()
	// The service has no rules, because the webhook in this process applies its own rules before it asks the service for an image.
	service := pusher.NewService(daemon, registry, options.RegistryHost, rules.Rules{}, slog.Default())
	defer service.Close()
	return app.Run(ctx, cluster, options.Options, webhookPusher{service, ofService(service)}, log)
}
