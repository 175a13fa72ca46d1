package service

import (
	"context"
	"errors"
	"fmt"

	"kind-local-registry/config"
	"kind-local-registry/internal/disk"
	"kind-local-registry/internal/host/engine"
	"kind-local-registry/internal/host/step"
	"kind-local-registry/internal/pusher"
)

// dockerSocket is the path of the daemon's socket in the pusher's container. A daemon in a virtual machine has its socket at the
// same path in that machine.
const dockerSocket = "/var/run/docker.sock"

// PusherOptions are the user's choices for the pusher.
type PusherOptions struct {
	// Rules are the rules; the zero value keeps the rules of the existing container.
	Rules Rules
	// Link is auto or off. "" keeps the setting of the existing container, and means auto if there is none.
	Link string
	// KeepStorage limits the registry's storage, such as 20GB, or is off. "" keeps the setting of the existing container, and means
	// off if there is none.
	KeepStorage string
}

// Pusher manages the pusher's container.
type Pusher struct {
	engine   *engine.Engine
	registry *Registry
	rules    string // rules document; "" means the default rules
	link     string // linkOff, or ""
	keep     string // limit of the registry's storage, such as 20GB, or ""
}

// OpenPusher returns the pusher that pushes to the registry. If the options leave a setting open, it takes the setting from the
// existing container.
func OpenPusher(ctx context.Context, registry *Registry, options PusherOptions) (*Pusher, error) {
	p := &Pusher{engine: registry.engine, registry: registry, rules: options.Rules.document}
	if options.Link == linkOff {
		p.link = linkOff
	}
	if options.KeepStorage != disk.NoLimit {
		p.keep = options.KeepStorage
	}
	found, err := p.engine.Find(ctx, config.PusherContainer)
	if err != nil || found == nil {
		return p, err
	}
	if !options.Rules.chosen {
		p.rules = found.Variable(config.RulesVariable)
	}
	if options.Link == "" {
		p.link = found.Variable(config.LinkVariable)
	}
	if options.KeepStorage == "" {
		p.keep = found.Variable(config.KeepStorageVariable)
	}
	return p, nil
}

// CheckLimit returns an error, with a remedy, if there is a limit of the registry's storage that cannot be applied.
func (p *Pusher) CheckLimit(ctx context.Context) error {
	carried, err := p.registry.carried(ctx)
	if err != nil || carried || p.keep == "" {
		return err
	}
	return step.Remedy(errors.New("--keep-storage limits only the registry that setup contains, and this host uses another one"),
		"remove the limit with --keep-storage "+disk.NoLimit)
}

// Step returns the step that starts the pusher.
func (p *Pusher) Step() step.Step {
	return step.Step{Name: "pusher", Check: p.check, Apply: p.apply, Foreign: p.foreign, Undo: p.undo, Plan: p.plan}
}

// container describes the pusher's container.
func (p *Pusher) container(ctx context.Context) (engine.Container, error) {
	id, err := p.engine.ImageID(ctx, WebhookImage())
	if err != nil {
		return engine.Container{}, err
	}
	socket := p.engine.Socket
	if p.engine.Virtual {
		socket = dockerSocket
	}
	registry, mounts, err := p.registryAddress(ctx)
	if err != nil {
		return engine.Container{}, err
	}
	command := []string{
		"pusher", "--certs", certsDir, "--docker-host", "unix://" + dockerSocket, "--registry", registry, "--registry-host", p.registry.Host(),
	}
	if len(mounts) > 0 && p.link != linkOff {
		command = append(command, "--linker", config.LinkerSocket) // if no linker listens there, every image is pushed
	}
	return engine.Container{
		Name: config.PusherContainer, Image: id, Network: p.engine.Network.Name, FromTop: pusherFromTop,
		Command: command,
		Env:     p.environment(),
		Reads:   p.imageDirectories(),
		Mounts:  append(mounts, config.PusherContainer+":"+certsDir, socket+":"+dockerSocket),
		// The pusher opens the daemon's files and two sockets, which other users may own. If the daemon remaps users, the container's
		// own root may not open them.
		Capabilities: []string{"DAC_OVERRIDE"}, HostUsers: true,
		// This port is for setup push. Docker chooses a host port, so the port cannot be in use already.
		ContainerPort: config.PusherPort,
	}, nil
}

// environment returns the container's environment variables.
func (p *Pusher) environment() []string {
	environment := append([]string{"GOMEMLIMIT=48MiB"}, p.rulesEnv()...)
	if p.link != "" {
		environment = append(environment, config.LinkVariable+"="+p.link)
	}
	if p.keep != "" {
		environment = append(environment, config.KeepStorageVariable+"="+p.keep)
	}
	return environment
}

// registryAddress returns the address at which the pusher reaches the registry, and the required mounts. The pusher writes
// through a socket to the registry that setup carries, and over the network to any other registry.
func (p *Pusher) registryAddress(ctx context.Context) (address string, mounts []string, err error) {
	carried, err := p.registry.carried(ctx)
	if err != nil || !carried {
		return fmt.Sprintf("http://%s:%d", config.RegistryContainer, config.RegistryContainerPort), nil, err
	}
	return "unix://" + config.RegistrySocket, []string{registrySocketMount}, nil
}

// imageDirectories returns the directories in which the daemon may keep layers as files. Some of them may not exist: the result
// must be the same for every user, and not every user can see which exist. It returns none for a daemon in a virtual machine,
// because its directories may be anywhere.
func (p *Pusher) imageDirectories() []string {
	if p.engine.Virtual {
		return nil
	}
	return p.engine.Layout.Directories()
}

func (p *Pusher) check(ctx context.Context) (step.State, error) {
	c, err := p.container(ctx)
	if err != nil {
		return step.State{}, err
	}
	state, err := p.engine.Check(ctx, c)
	if err != nil || !state.OK {
		return state, err
	}
	credentials, err := p.Credentials(ctx)
	if err == nil {
		err = checkCertificates(credentials)
	}
	if err != nil {
		return step.State{Detail: fmt.Sprintf("certificates of %s: %v", config.PusherContainer, err)}, nil
	}
	if p.keep != "" {
		state.Detail += ", keeps at most " + p.keep + " in the registry"
	}
	return state, nil
}

// foreign lists the replacement of a container that has the pusher's name although setup did not create it.
func (p *Pusher) foreign(ctx context.Context) ([]step.Change, error) {
	return replaced(ctx, p.engine, config.PusherContainer)
}

func (p *Pusher) apply(ctx context.Context, _ step.Progress) error {
	c, err := p.container(ctx)
	if err != nil {
		return err
	}
	return p.engine.Run(ctx, c, p.ensureCredentials)
}

// undo removes the pusher unless another kind cluster uses it, or setup did not create it.
func (p *Pusher) undo(ctx context.Context) (string, error) {
	if why, err := p.registry.kept(ctx, config.PusherContainer); err != nil || why != "" {
		return "kept: " + why, err
	}
	err := errors.Join(p.engine.RemoveContainer(ctx, config.PusherContainer), p.engine.RemoveVolume(ctx, config.PusherContainer))
	return config.PusherContainer + " removed", err
}

// Address returns the pusher's IPv4 or IPv6 address on the kind network. The error is step.ErrMissing if the pusher is not on that
// network. It includes a remedy if the network has no addresses of the family that the cluster prefers.
func (p *Pusher) Address(ctx context.Context, prefersIPv6 func(context.Context) (bool, error)) (string, error) {
	found, err := p.engine.Find(ctx, config.PusherContainer)
	if err != nil {
		return "", err
	}
	network := p.engine.Network.Name
	endpoint := found.Endpoint(network)
	if endpoint == nil {
		return "", fmt.Errorf("%s %w", config.PusherContainer, step.ErrMissing)
	}
	ipv6, err := prefersIPv6(ctx)
	if err != nil {
		return "", err
	}
	address, family := endpoint.IPAddress, "IPv4"
	if ipv6 {
		address, family = endpoint.GlobalIPv6Address, "IPv6"
	}
	if !address.IsValid() {
		return "", step.Remedy(fmt.Errorf("the cluster's pods use %s, and Docker network %s has no %s addresses", family, network, family),
			fmt.Sprintf("delete the clusters on that network, run docker network rm %s, and let setup up create both", network))
	}
	return address.String(), nil
}

// Connect returns a client for the pusher. The error includes a remedy if the check of the registry or the pusher fails.
func (p *Pusher) Connect(ctx context.Context) (*pusher.Client, error) {
	for _, check := range []func(context.Context) (step.State, error){p.registry.check, p.check} {
		state, err := check(ctx)
		if err == nil && !state.OK {
			err = step.Remedy(errors.New(state.Detail), state.Advice())
		}
		if err != nil {
			return nil, err
		}
	}
	return p.dial(ctx)
}

// dial returns a client of the pusher, without checking that the pusher answers.
func (p *Pusher) dial(ctx context.Context) (*pusher.Client, error) {
	found, err := p.engine.Find(ctx, config.PusherContainer)
	if err != nil {
		return nil, err
	}
	if found == nil || found.Published(config.PusherPort) == "" {
		return nil, step.Remedy(fmt.Errorf("container %s publishes no port", config.PusherContainer), step.State{}.Advice())
	}
	credentials, err := p.Credentials(ctx)
	if err != nil {
		return nil, err
	}
	security, err := pusher.ClientTLS(credentials.CA, credentials.ClientCert, credentials.ClientKey)
	if err != nil {
		return nil, err
	}
	return pusher.NewClient(found.Published(config.PusherPort), security), nil
}
