package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"kind-local-registry/config"
	"kind-local-registry/internal/disk"
	"kind-local-registry/internal/docker"
	"kind-local-registry/internal/kindnode"
	"kind-local-registry/internal/link/linkapi"
	"kind-local-registry/internal/push"
	"kind-local-registry/internal/pusher"
	"kind-local-registry/internal/rules"
)

// pusherOptions contains the flags of webhook pusher.
type pusherOptions struct {
	listen       string // address to listen on
	registry     string // URL of the registry's API
	registryHost string // the registry's host in rewritten images
	dockerHost   string // address of the Docker daemon
	linker       string // path of the linker's socket; "" to promise no image
	certs        string // directory that contains the certificates
	rules        string // file that contains the rules; "" for the rules in the environment
}

// newPusherCommand returns the command webhook pusher.
func newPusherCommand() *cobra.Command {
	var options pusherOptions
	command := &cobra.Command{
		Use:   "pusher",
		Short: "Push images from the Docker daemon to the registry on request",
		Long: `Look up images in the Docker daemon and push them to the registry, for clients with a valid certificate (TLS 1.3). The pusher
runs on the host, in a container that setup creates. It is the only component with access to the Docker socket. The certificate
directory must contain ca.crt, server.crt and server.key.`,
		Example: `  # As setup runs it
  webhook pusher --docker-host unix:///var/run/docker.sock --certs /etc/kind-registry-pusher

  # With a registry on the host
  webhook pusher --listen 127.0.0.1:5443 --registry http://127.0.0.1:5001 --certs ./certs`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return runPusher(command.Context(), options, command.ErrOrStderr())
		},
	}
	api := "http://" + net.JoinHostPort(config.RegistryContainer, strconv.Itoa(config.RegistryContainerPort))
	flags := command.Flags()
	flags.StringVar(&options.listen, "listen", ":"+strconv.Itoa(config.PusherPort), "address to listen on")
	flags.StringVar(&options.registry, "registry", api, "URL of the registry's API")
	flags.StringVar(&options.registryHost, "registry-host", config.RegistryHost(config.RegistryPort),
		"registry's host in rewritten images")
	flags.StringVar(&options.dockerHost, "docker-host", "unix:///var/run/docker.sock", "address of the Docker daemon")
	flags.StringVar(&options.certs, "certs", "/etc/"+config.PusherContainer, "directory that contains the certificates")
	flags.StringVar(&options.linker, "linker", "",
		"path of the linker's Unix socket; if set, images that nodes can get as hard links are promised before they are pushed")
	flags.StringVar(&options.rules, "rules", "",
		"file that contains the rules for images (docs/rules.md); by default, the rules are read from the environment variable "+config.RulesVariable)
	return command
}

// runPusher serves until ctx ends or the daemon's socket is lost.
func runPusher(ctx context.Context, options pusherOptions, stderr io.Writer) error {
	imageRules, err := readRules(options.rules)
	if err != nil {
		return err
	}
	security, err := pusher.LoadServerTLS(options.certs)
	if err != nil {
		return err
	}
	registry, err := push.NewRegistry(options.registry)
	if err != nil {
		return err
	}
	defer registry.Close()
	daemon, err := docker.New(options.dockerHost)
	if err != nil {
		return err
	}
	defer func() { _ = daemon.Close() }()
	log := slog.New(slog.NewJSONHandler(stderr, nil))
	service := pusher.NewService(daemon, registry, options.registryHost, imageRules, log)
	defer service.Close()
	if options.linker != "" {
		linker := linkapi.NewClient(options.linker)
		defer linker.Close()
		service.UseLinker(linker)
	}
	service.Resume()
	pruner, nodes, err := newPruner(options, registry, service, log)
	if err != nil {
		return err
	}
	defer func() { _ = nodes.Close() }()
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", options.listen)
	if err != nil {
		return fmt.Errorf("listening for clients: %w", err)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { service.Follow(ctx, log); return nil })
	// The error ends the process. Docker then restarts the container, which mounts the new socket.
	group.Go(func() error { return docker.AwaitLoss(ctx, options.dockerHost) })
	group.Go(func() error { pruner.Keep(ctx, service.Pushed()); return nil })
	server := pusher.NewServer(service, log)
	server.UsePruner(pruner)
	group.Go(func() error { return server.Serve(ctx, listener, security) })
	return group.Wait()
}

// newPruner returns the pruner for the registry and for the nodes. The limit comes from the environment.
func newPruner(
	options pusherOptions, registry *push.Registry, service *pusher.Service, log *slog.Logger,
) (*disk.Pruner, *kindnode.Client, error) {
	limit, err := disk.ParseLimit(os.Getenv(config.KeepStorageVariable))
	if err != nil {
		return nil, nil, fmt.Errorf("reading %s: %w", config.KeepStorageVariable, err)
	}
	nodes, err := kindnode.New(options.dockerHost, options.registryHost)
	if err != nil {
		return nil, nil, err
	}
	return disk.New(options.registryHost, registry, service, nodes, limit, log), nodes, nil
}

// readRules returns the rules in the file. If file is "", it returns the rules in the environment variable that setup sets in the
// pusher's container.
func readRules(file string) (rules.Rules, error) {
	if file == "" {
		return rules.Parse(config.RulesVariable, []byte(os.Getenv(config.RulesVariable)))
	}
	document, err := os.ReadFile(file) // #nosec G304 -- the file that the flag names
	if err != nil {
		return rules.Rules{}, fmt.Errorf("reading rules: %w", err)
	}
	return rules.Parse(file, document)
}
