package host

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/client-go/kubernetes"

	"kind-local-registry/internal/host/chart"
	"kind-local-registry/internal/host/cluster"
	"kind-local-registry/internal/host/disk"
	"kind-local-registry/internal/host/engine"
	"kind-local-registry/internal/host/images"
	"kind-local-registry/internal/host/service"
	"kind-local-registry/internal/pusher"
	"kind-local-registry/internal/rules"
)

// System represents the whole system: the containers on the host, one kind cluster, and the webhook in that cluster.
type System struct {
	engine   *engine.Engine
	cluster  *cluster.Cluster
	registry *service.Registry
	pusher   *service.Pusher
	linker   *service.Linker
	chart    *chart.Chart
}

// Open connects to Docker and reads the files that the options name. It changes nothing. The error includes a remedy if Docker
// does not answer or runs on another machine, or if a file is invalid.
func Open(ctx context.Context, options Options) (*System, error) {
	connected, err := connect(ctx, options)
	if err != nil {
		return nil, err
	}
	return connected.open(ctx)
}

// OpenToChange is like Open, for commands that change the host. It first waits until no other setup is changing the host. After
// one second, it calls waiting with a description of the other process. The next setup can continue when the caller calls unlock
// or exits.
func OpenToChange(ctx context.Context, options Options, waiting func(holder string)) (system *System, unlock func() error, err error) {
	connected, err := connect(ctx, options)
	if err != nil {
		return nil, nil, err
	}
	if unlock, err = lock(ctx, connected.engine.Socket, waiting); err != nil {
		return nil, nil, err
	}
	if system, err = connected.open(ctx); err != nil { // after locking, because the other setup may have changed what open reads
		return nil, nil, errors.Join(err, unlock())
	}
	return system, unlock, nil
}

// connection contains what is known before the containers are inspected.
type connection struct {
	options Options
	rules   service.Rules
	engine  *engine.Engine
	cluster *cluster.Cluster
}

// connect reads the files that the options name, and connects to Docker.
func connect(ctx context.Context, options Options) (*connection, error) {
	if err := options.Validate(); err != nil {
		return nil, err
	}
	chosen, err := service.ReadRules(options.RulesFile)
	if err != nil {
		return nil, err
	}
	docker, err := engine.Open(ctx)
	if err != nil {
		return nil, err
	}
	in, err := cluster.New(docker, options.cluster())
	if err != nil {
		return nil, err
	}
	connected := &connection{options, chosen, docker, in}
	if options.Select == nil {
		return connected, nil
	}
	if err := in.Select(ctx, *options.Select, connected.registryHost); err != nil { // before locking, because the user may be asked
		return nil, err
	}
	return connected, nil
}

// registry opens the registry.
func (c *connection) registry(ctx context.Context) (*service.Registry, error) {
	return service.OpenRegistry(ctx, c.engine, service.RegistryOptions{
		Image: c.options.RegistryImage, Port: c.options.RegistryPort, Cluster: c.cluster.Name(),
	}, c.cluster.Others)
}

// registryHost returns the registry's host in image references.
func (c *connection) registryHost(ctx context.Context) (string, error) {
	registry, err := c.registry(ctx)
	if err != nil {
		return "", err
	}
	return registry.Host(), nil
}

// open opens the registry and the pusher. If the options leave a setting open, it takes the setting from the existing containers.
func (c *connection) open(ctx context.Context) (*System, error) {
	registry, err := c.registry(ctx)
	if err != nil {
		return nil, err
	}
	pusher, err := service.OpenPusher(ctx, registry, service.PusherOptions{
		Rules: c.rules, Link: c.options.Link, KeepStorage: c.options.KeepStorage,
	})
	if err != nil {
		return nil, err
	}
	return &System{
		engine: c.engine, cluster: c.cluster, registry: registry, pusher: pusher, linker: service.NewLinker(pusher),
		chart: chart.New(c.cluster, "unix://"+c.engine.Socket, registry, pusher, chart.Options{
			RestartOnRebuild: c.options.RestartOnRebuild, Ungate: c.options.Ungate,
		}),
	}, nil
}

// Cluster returns the kind cluster's name.
func (s *System) Cluster() string { return s.cluster.Name() }

// RegistryHost returns the registry's host in image references, such as localhost:5001.
func (s *System) RegistryHost() string { return s.registry.Host() }

// Rules returns the rules in effect. It fails if this version of setup rejects the pusher's rules.
func (s *System) Rules() (rules.Rules, error) { return s.pusher.Rules() }

// NamespaceLabels returns the labels of every namespace in the cluster, keyed by namespace. It returns nil if the cluster does
// not answer within one second.
func (s *System) NamespaceLabels(ctx context.Context) map[string]map[string]string {
	return s.cluster.NamespaceLabels(ctx)
}

// RequireCluster returns an error, with a remedy, if the cluster does not exist.
func (s *System) RequireCluster(ctx context.Context) error { return s.cluster.Require(ctx) }

// Kube returns a client for the cluster's API server.
func (s *System) Kube() (kubernetes.Interface, error) { return s.cluster.Kube() }

// ConnectPusher returns a client for the pusher. The error includes a remedy if the check of the registry or the pusher fails.
func (s *System) ConnectPusher(ctx context.Context) (*pusher.Client, error) {
	return s.pusher.Connect(ctx)
}

// LocalImages returns the sorted names of the tagged images in Docker that a pod might use.
func (s *System) LocalImages(ctx context.Context) ([]string, error) {
	return images.Local(ctx, s.engine, s.RegistryHost())
}

// Tags returns the sorted names of all tagged images in Docker.
func (s *System) Tags(ctx context.Context) ([]string, error) { return images.Tags(ctx, s.engine) }

// Push pushes the images through the pusher and returns their outcomes in the same order; see images.Push. It returns an error,
// with a remedy, if it cannot connect to the pusher.
func (s *System) Push(ctx context.Context, references []string, observer images.Observer) ([]images.Pushed, error) {
	client, err := s.ConnectPusher(ctx)
	if err != nil {
		return nil, fmt.Errorf("nothing can be pushed: %w", err)
	}
	defer client.Close()
	return images.Push(ctx, client, s.RegistryHost(), references, observer), nil
}

// Disk returns what setup images, prune and verify need.
func (s *System) Disk() *disk.Disk { return disk.New(s.pusher.Connect) }
