package service

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/engine"
	"kind-local-registry/internal/host/step"
)

// The containers have fixed addresses near the end of the kind network's subnets, counted down from the last address. Docker
// assigns addresses from the start of a subnet, so no node gets one of these. The last two addresses are left for broadcast and
// for other tools.
const (
	registryFromTop = 2
	pusherFromTop   = 3
)

const (
	// startTimeout is how long the registry may take to answer after it is started.
	startTimeout = 20 * time.Second
	// pingTimeout limits one request to the registry.
	pingTimeout = 3 * time.Second
)

// registrySocketMount is the mount of the socket's volume. The pusher writes through that socket to the registry that setup
// carries.
const registrySocketMount = config.RegistrySocketVolume + ":" + config.RegistrySocketDirectory

// writable is a note in the registry's status. It is omitted for the registry that setup carries, because only the host can write
// to that one.
const writable = "not read-only: pods may write to it; "

// RegistryOptions are the user's choices for the registry.
type RegistryOptions struct {
	// Image is the reference of the image to run, such as registry:2. "" means the image that the user chose for the existing
	// registry, or the image that setup carries.
	Image string
	// Port is the port on the host's loopback. 0 means the port of the existing registry, or config.RegistryPort if there is none.
	Port int
	// Cluster is the name of the kind cluster that setup works on.
	Cluster string
}

// Registry manages the registry's container.
type Registry struct {
	engine  *engine.Engine
	options RegistryOptions
	// others returns the other kind clusters that use the registry.
	others func(ctx context.Context, registryHost string) ([]string, error)
}

// OpenRegistry returns the registry. If the options leave a setting open, it takes the setting from the existing container.
// others returns the names of the other kind clusters that use the registry.
func OpenRegistry(
	ctx context.Context, docker *engine.Engine, options RegistryOptions, others func(ctx context.Context, registryHost string) ([]string, error),
) (*Registry, error) {
	found, err := docker.Find(ctx, config.RegistryContainer)
	if err != nil {
		return nil, err
	}
	if found != nil && options.Port == 0 {
		options.Port = found.HostPort()
	}
	if options.Port == 0 {
		options.Port = config.RegistryPort
	}
	if found != nil && options.Image == "" {
		options.Image = found.ChosenImage()
	}
	return &Registry{engine: docker, options: options, others: others}, nil
}

// Host returns the registry's host in image references.
func (r *Registry) Host() string { return config.RegistryHost(r.options.Port) }

// Port returns the registry's port on the host's loopback.
func (r *Registry) Port() int { return r.options.Port }

// URL returns the registry's URL on the host. It contains an address, because localhost may resolve to ::1.
func (r *Registry) URL() string { return fmt.Sprintf("http://127.0.0.1:%d", r.options.Port) }

// Step returns the step that starts the registry. It has no Undo: setup down undoes KeepStep or RemoveStep instead.
func (r *Registry) Step() step.Step {
	return step.Step{Name: "registry", Check: r.check, Apply: r.apply, Foreign: r.foreign}
}

// container describes the registry's container. An image that the user chose runs with its own command.
func (r *Registry) container(ctx context.Context) (engine.Container, error) {
	reference := r.options.Image
	if reference == "" {
		reference = RegistryImage()
	}
	id, err := r.engine.ImageID(ctx, reference)
	if err != nil {
		return engine.Container{}, err
	}
	c := engine.Container{
		Name: config.RegistryContainer, Image: id, Chosen: r.options.Image, Network: r.engine.Network.Name, FromTop: registryFromTop,
		Mounts:   []string{config.RegistryContainer + ":/var/lib/registry"},
		HostPort: r.options.Port, ContainerPort: config.RegistryContainerPort,
	}
	if c.Chosen != "" {
		c.Env = []string{"OTEL_TRACES_EXPORTER=none"}
		return c, nil
	}
	c.Command = []string{"--socket", config.RegistrySocket, "--linker", config.LinkerSocket}
	c.Mounts = append(c.Mounts, registrySocketMount)
	return c, nil
}

// carried reports whether the registry runs, or will run, the image that setup carries.
func (r *Registry) carried(ctx context.Context) (bool, error) {
	found, err := r.engine.Find(ctx, config.RegistryContainer)
	return r.options.Image == "" && (found == nil || found.Ours()), err
}

func (r *Registry) check(ctx context.Context) (step.State, error) {
	found, err := r.engine.Find(ctx, config.RegistryContainer)
	if err != nil {
		return step.State{}, err
	}
	if found != nil && !found.Ours() {
		return r.checkAdopted(ctx, found)
	}
	c, err := r.container(ctx)
	if err != nil {
		return step.State{}, err
	}
	state, err := r.engine.Check(ctx, c)
	if err != nil || !state.OK {
		return state, err
	}
	if c.Chosen != "" {
		state.Detail = writable + state.Detail
	}
	return r.checkAnswers(ctx, state.Detail)
}

// checkAdopted checks a registry that another tool created. It must be running, be connected to the kind network, and publish the
// port in the options.
func (r *Registry) checkAdopted(ctx context.Context, found *engine.Found) (step.State, error) {
	if found.HostPort() != r.options.Port {
		return r.otherPort(found), nil
	}
	if !found.Running() {
		return step.State{Detail: fmt.Sprintf("container %s is %s", config.RegistryContainer, found.State.Status)}, nil
	}
	network := r.engine.Network.Name
	endpoint := found.Endpoint(network)
	if endpoint == nil {
		return step.State{Detail: fmt.Sprintf("container %s is not on network %s", config.RegistryContainer, network)}, nil
	}
	return r.checkAnswers(ctx, "adopted, "+writable+found.Describe(endpoint))
}

// checkAnswers checks that the registry answers.
func (r *Registry) checkAnswers(ctx context.Context, detail string) (step.State, error) {
	if err := r.ping(ctx); err != nil {
		return step.State{Detail: err.Error(), Remedy: "see docker logs " + config.RegistryContainer}, nil //nolint:nilerr // a state, not a failure
	}
	return step.State{OK: true, Detail: r.Host() + ", " + detail}, nil
}

// ping returns an error if the registry does not answer.
func (r *Registry) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.URL()+"/v2/", nil)
	if err != nil {
		return err
	}
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	if err != nil {
		return fmt.Errorf("registry at %s does not answer: %w", r.URL(), err)
	}
	if err := response.Body.Close(); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("registry at %s answers %s", r.URL(), response.Status)
	}
	return nil
}

func (r *Registry) apply(ctx context.Context, progress step.Progress) error {
	found, err := r.engine.Find(ctx, config.RegistryContainer)
	if err != nil {
		return err
	}
	if found != nil && !found.Ours() {
		err = r.adopt(ctx, found)
	} else {
		err = r.run(ctx, progress)
	}
	if err != nil {
		return err
	}
	return step.Poll(ctx, startTimeout, r.ping)
}

func (r *Registry) run(ctx context.Context, progress step.Progress) error {
	if err := r.pull(ctx, progress); err != nil {
		return err
	}
	c, err := r.container(ctx)
	if err != nil {
		return err
	}
	return r.engine.Run(ctx, c, nil)
}

// pull pulls the image that the user chose, unless Docker already has it.
func (r *Registry) pull(ctx context.Context, progress step.Progress) error {
	reference := r.options.Image
	if reference == "" {
		return nil
	}
	id, err := r.engine.ImageID(ctx, reference)
	if err != nil || id != "" {
		return err
	}
	progress("pulling " + reference)
	if err := r.engine.PullImage(ctx, reference); err != nil {
		return step.Remedy(fmt.Errorf("pulling registry image %s: %w", reference, err), "leave --registry-image out: a registry is built into setup")
	}
	return nil
}

// adopt starts a registry that another tool created, and connects it to the kind network. It changes nothing else.
func (r *Registry) adopt(ctx context.Context, found *engine.Found) error {
	if !found.Running() {
		if err := r.engine.Start(ctx, config.RegistryContainer); err != nil {
			return err
		}
	}
	if found.Endpoint(r.engine.Network.Name) != nil {
		return nil
	}
	return r.engine.Network.Connect(ctx, config.RegistryContainer, registryFromTop)
}

// CheckPort returns an error, with a remedy, if the registry cannot use its port.
func (r *Registry) CheckPort(ctx context.Context) error {
	found, err := r.engine.Find(ctx, config.RegistryContainer)
	if err != nil {
		return err
	}
	if found == nil {
		return r.checkPortFree(ctx)
	}
	samePort := found.HostPort() == r.options.Port
	if !samePort && !found.Ours() {
		state := r.otherPort(found)
		return step.Remedy(errors.New(state.Detail), state.Remedy)
	}
	if samePort && (found.Running() || found.Paused()) {
		return nil
	}
	return r.checkPortFree(ctx)
}

// otherPort returns the state of a registry that another tool created, and that publishes another port than the one in the options.
func (r *Registry) otherPort(found *engine.Found) step.State {
	published := found.HostPort()
	if published == 0 {
		return step.State{
			Detail: fmt.Sprintf("container %s publishes no port", config.RegistryContainer),
			Remedy: "remove the container; its images are lost unless they are in a named volume",
		}
	}
	return step.State{
		Detail: fmt.Sprintf("container %s publishes port %d, not %d", config.RegistryContainer, published, r.options.Port),
		Remedy: fmt.Sprintf("use --registry-port %d, or remove the container", published),
	}
}

// checkPortFree returns an error if a program is listening on the port.
func (r *Registry) checkPortFree(ctx context.Context) error {
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(r.options.Port))
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return step.Remedy(fmt.Errorf("port %d on 127.0.0.1 is used by a process other than %s", r.options.Port, config.RegistryContainer),
			"stop the program that listens there (see ss -ltnp), or choose another with --registry-port")
	}
	return listener.Close()
}
