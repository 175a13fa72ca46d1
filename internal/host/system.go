package host

import (
	"context"
	"errors"
	"fmt"

	"kind-local-registry/internal/host/chart"
	"kind-local-registry/internal/host/cluster"
	"kind-local-registry/internal/host/engine"
	"kind-local-registry/internal/host/images"
	"kind-local-registry/internal/host/node"
	"kind-local-registry/internal/host/service"
	"kind-local-registry/internal/host/step"
	"kind-local-registry/internal/pusher"
	"kind-local-registry/internal/rules"
)

// System is the whole system: the containers on the host, one kind cluster, and the webhook in it.
type System struct {
	engine   *engine.Engine
	cluster  *cluster.Cluster
	registry *service.Registry
	pusher   *service.Pusher
	chart    *chart.Chart
}

// Open connects to Docker and reads the files that the options name. It changes nothing. Its error has a remedy if Docker does
// not answer or is on another machine, or if a file is invalid.
func Open(ctx context.Context, options Options) (*System, error) {
	connected, err := connect(ctx, options)
	if err != nil {
		return nil, err
	}
	return connected.open(ctx)
}

// OpenToChange is Open for commands that change the host. It waits until no other setup changes it. After a second it calls
// waiting with a description of the other process. unlock, or the end of the process, lets the next setup continue.
func OpenToChange(ctx context.Context, options Options, waiting func(holder string)) (system *System, unlock func() error, err error) {
	connected, err := connect(ctx, options)
	if err != nil {
		return nil, nil, err
	}
	if unlock, err = lock(ctx, connected.engine.Socket, waiting); err != nil {
		return nil, nil, err
	}
	if system, err = connected.open(ctx); err != nil { // only now: the other setup may have changed what open reads
		return nil, nil, errors.Join(err, unlock())
	}
	return system, unlock, nil
}

// connection is what is known before the containers are read.
type connection struct {
	options Options
	rules   service.Rules
	engine  *engine.Engine
	cluster *cluster.Cluster
}

// connect reads the files of the options and connects to Docker.
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
	return &connection{options, chosen, docker, in}, nil
}

// open reads from the existing containers what the options leave open.
func (c *connection) open(ctx context.Context) (*System, error) {
	registry, err := service.OpenRegistry(ctx, c.engine, service.RegistryOptions{
		Image: c.options.RegistryImage, Port: c.options.RegistryPort,
	}, c.cluster.Others)
	if err != nil {
		return nil, err
	}
	pusher, err := service.OpenPusher(ctx, registry, c.rules)
	if err != nil {
		return nil, err
	}
	return &System{
		engine: c.engine, cluster: c.cluster, registry: registry, pusher: pusher,
		chart: chart.New(c.cluster, "unix://"+c.engine.Socket, registry, pusher, c.options.Ungate),
	}, nil
}

// Cluster is the name of the kind cluster.
func (s *System) Cluster() string { return s.cluster.Name() }

// RegistryHost is the registry's host in image references.
func (s *System) RegistryHost() string { return s.registry.Host() }

// Rules returns the rules in force. It fails if this version of setup does not accept the rules that the pusher has.
func (s *System) Rules() (rules.Rules, error) { return s.pusher.Rules() }

// NamespaceLabels returns the labels of every namespace in the cluster, by name, and none if the cluster does not answer within a
// second.
func (s *System) NamespaceLabels(ctx context.Context) map[string]map[string]string {
	return s.cluster.NamespaceLabels(ctx)
}

// RegistryLoss describes what removing the registry would delete, and which other clusters use it. It returns "" if setup has no
// registry to remove.
func (s *System) RegistryLoss(ctx context.Context) (string, error) { return s.registry.Loss(ctx) }

// ConnectPusher returns a client of the pusher. Its error has a remedy if the registry or the pusher fails its check.
func (s *System) ConnectPusher(ctx context.Context) (*pusher.Client, error) {
	return s.pusher.Connect(ctx)
}

// LocalImages returns the names, sorted, of Docker's tagged images that a pod may want.
func (s *System) LocalImages(ctx context.Context) ([]string, error) {
	return images.Local(ctx, s.engine, s.RegistryHost())
}

// Push has the pusher push the images, and returns their outcomes in the same order. The error, with a remedy, says why nothing
// can be pushed. See images.Push.
func (s *System) Push(ctx context.Context, references []string, observer images.Observer) ([]images.Pushed, error) {
	client, err := s.ConnectPusher(ctx)
	if err != nil {
		return nil, fmt.Errorf("nothing can be pushed: %w", err)
	}
	defer client.Close()
	return images.Push(ctx, client, s.RegistryHost(), references, observer), nil
}

// Preflight returns what would make up fail after it has changed something.
func (s *System) Preflight(ctx context.Context) error {
	if err := s.cluster.Preflight(); err != nil {
		return err
	}
	if _, err := s.Rules(); err != nil {
		return err
	}
	return s.registry.CheckPort(ctx)
}

// Steps returns every step, in the order in which up applies them.
func (s *System) Steps() []step.Step {
	nodes := node.Nodes{Cluster: s.Cluster(), RegistryHost: s.RegistryHost(), List: s.cluster.Nodes}
	return []step.Step{
		s.cluster.Step(), service.ImagesStep(s.engine), s.registry.Step(), s.pusher.Step(), nodes.Step(),
		s.cluster.HostingStep(s.RegistryHost()),
		s.chart.ImageStep(), s.chart.CredentialsStep(), s.chart.Step(), s.chart.AdmissionStep(),
	}
}

// StepsDown returns the steps to undo. It leaves out those that deleting the cluster undoes, and includes the registry only if
// withRegistry.
func (s *System) StepsDown(ctx context.Context, withRegistry bool) []step.Step {
	deleted := s.cluster.Created(ctx)
	var steps []step.Step
	if withRegistry {
		steps = append(steps, s.registry.RemoveStep())
	}
	for _, one := range s.Steps() {
		if !one.InCluster || !deleted {
			steps = append(steps, one)
		}
	}
	return steps
}
