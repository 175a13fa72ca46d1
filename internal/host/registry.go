package host

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"kind-local-registry/config"
)

func (s *System) registryStep() Step {
	return Step{Name: "registry", Check: s.checkRegistry, Apply: s.applyRegistry}
}

// keepRegistry takes over, of what the user did not choose, how the registry that is there runs.
func (s *System) keepRegistry(ctx context.Context) error {
	found, err := s.find(ctx, config.RegistryContainer)
	if err != nil {
		return err
	}
	if found != nil && s.options.RegistryPort == 0 {
		s.options.RegistryPort = publishedPort(found)
	}
	if s.options.RegistryPort == 0 {
		s.options.RegistryPort = config.RegistryPort
	}
	if found != nil && s.options.RegistryImage == "" {
		s.options.RegistryImage = found.Config.Labels[imageLabel]
	}
	return nil
}

// registryPiece describes the registry's container. Another image than ours is started as it comes.
func (s *System) registryPiece(ctx context.Context) (piece, error) {
	reference := s.options.RegistryImage
	if reference == "" {
		reference = registryImage()
	}
	id, err := s.imageID(ctx, reference)
	if err != nil {
		return piece{}, err
	}
	p := piece{
		Name: config.RegistryContainer, Image: id, Chosen: s.options.RegistryImage, Network: s.network, FromTop: registryFromTop,
		Mounts:   []string{config.RegistryContainer + ":/var/lib/registry"},
		HostPort: s.options.RegistryPort, ContainerPort: config.RegistryContainerPort,
	}
	if p.Chosen != "" {
		p.Env = []string{"OTEL_TRACES_EXPORTER=none"}
		return p, nil
	}
	p.Command = []string{"--socket", config.RegistrySocket}
	p.Mounts = append(p.Mounts, registrySocketMount)
	return p, nil
}

// registrySocketMount is the volume with the socket through which the pusher writes to our registry.
const registrySocketMount = config.RegistrySocketVolume + ":" + config.RegistrySocketDirectory

// writable says of a registry that is not ours what ours does not let pods do.
const writable = "not read-only: pods may write to it; "

// carriesRegistry reports whether the registry is the one that setup carries, or will be: neither adopted nor of another image.
func (s *System) carriesRegistry(ctx context.Context) (bool, error) {
	found, err := s.find(ctx, config.RegistryContainer)
	return s.options.RegistryImage == "" && (found == nil || ours(found)), err
}

func (s *System) checkRegistry(ctx context.Context) (State, error) {
	found, err := s.find(ctx, config.RegistryContainer)
	if err != nil {
		return State{}, err
	}
	if found != nil && !ours(found) {
		return s.checkAdopted(ctx, found)
	}
	p, err := s.registryPiece(ctx)
	if err != nil {
		return State{}, err
	}
	state, err := s.checkPiece(ctx, p)
	if err != nil || !state.OK {
		return state, err
	}
	if p.Chosen != "" {
		state.Detail = writable + state.Detail
	}
	return s.answers(ctx, state.Detail)
}

// answers completes the state of a registry that runs by asking it.
func (s *System) answers(ctx context.Context, detail string) (State, error) {
	if err := s.pingRegistry(ctx); err != nil {
		return State{Detail: err.Error(), Remedy: "see docker logs " + config.RegistryContainer}, nil //nolint:nilerr // a state, not a failure
	}
	return State{OK: true, Detail: s.registryHost() + ", " + detail}, nil
}

// checkAdopted looks at a registry that somebody else made: it has to run, on our network and on our port.
func (s *System) checkAdopted(ctx context.Context, found *container.InspectResponse) (State, error) {
	if !found.State.Running {
		return State{Detail: fmt.Sprintf("container %s is %s", config.RegistryContainer, found.State.Status)}, nil
	}
	if published := publishedPort(found); published != s.options.RegistryPort {
		return State{
			Detail: fmt.Sprintf("container %s publishes port %d, not %d", config.RegistryContainer, published, s.options.RegistryPort),
			Remedy: fmt.Sprintf("use --registry-port %d, or remove the container", published),
		}, nil
	}
	endpoint := found.NetworkSettings.Networks[s.network]
	if endpoint == nil {
		return State{Detail: fmt.Sprintf("container %s is not on network %s", config.RegistryContainer, s.network)}, nil
	}
	return s.answers(ctx, "adopted, "+writable+describe(found, endpoint))
}

func publishedPort(c *container.InspectResponse) int {
	for _, bindings := range c.HostConfig.PortBindings {
		for _, binding := range bindings {
			if port, err := strconv.Atoi(binding.HostPort); err == nil {
				return port
			}
		}
	}
	return 0
}

func (s *System) applyRegistry(ctx context.Context, progress Progress) error {
	found, err := s.find(ctx, config.RegistryContainer)
	if err != nil {
		return err
	}
	if found != nil && !ours(found) {
		err = s.adoptRegistry(ctx, found)
	} else {
		err = s.runRegistry(ctx, progress)
	}
	if err != nil {
		return err
	}
	return poll(ctx, 20*time.Second, s.pingRegistry)
}

func (s *System) runRegistry(ctx context.Context, progress Progress) error {
	if err := s.pullRegistryImage(ctx, progress); err != nil {
		return err
	}
	p, err := s.registryPiece(ctx)
	if err != nil {
		return err
	}
	return s.runPiece(ctx, p, nil)
}

// pullRegistryImage pulls the registry image that the user chose, where Docker does not hold it.
func (s *System) pullRegistryImage(ctx context.Context, progress Progress) error {
	reference := s.options.RegistryImage
	if reference == "" {
		return nil
	}
	id, err := s.imageID(ctx, reference)
	if err != nil || id != "" {
		return err
	}
	progress("pulling " + reference)
	pulled, err := s.docker.ImagePull(ctx, reference, client.ImagePullOptions{})
	if err == nil {
		err = pulled.Wait(ctx)
	}
	if err != nil {
		return remedy(fmt.Errorf("pulling registry image %s: %w", reference, err), "leave --registry-image out: setup carries a registry")
	}
	return nil
}

// adoptRegistry starts somebody else's registry and puts it on the kind network; nothing else of it is changed.
func (s *System) adoptRegistry(ctx context.Context, found *container.InspectResponse) error {
	if !found.State.Running {
		if _, err := s.docker.ContainerStart(ctx, found.ID, client.ContainerStartOptions{}); err != nil {
			return fmt.Errorf("starting container %s: %w", config.RegistryContainer, err)
		}
	}
	if found.NetworkSettings.Networks[s.network] != nil {
		return nil
	}
	fixed, err := s.fixedAddresses(ctx, registryFromTop)
	if err != nil {
		return err
	}
	for _, address := range []*network.EndpointIPAMConfig{fixed, nil} {
		_, err = s.docker.NetworkConnect(ctx, s.network, client.NetworkConnectOptions{
			Container: found.ID, EndpointConfig: &network.EndpointSettings{IPAMConfig: address},
		})
		if err == nil {
			return nil
		}
	}
	return fmt.Errorf("connecting container %s to network %s: %w", config.RegistryContainer, s.network, err)
}

// RegistryHost is the registry's host in every reference.
func (s *System) RegistryHost() string { return s.registryHost() }

// registryHost is the registry's host in every reference.
func (s *System) registryHost() string { return config.RegistryHost(s.options.RegistryPort) }

// registryURL is where the registry is reached from the host: by number, as localhost may be ::1.
func (s *System) registryURL() string {
	return fmt.Sprintf("http://127.0.0.1:%d", s.options.RegistryPort)
}

func (s *System) pingRegistry(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.registryURL()+"/v2/", nil)
	if err != nil {
		return err
	}
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	if err != nil {
		return fmt.Errorf("registry at %s does not answer: %w", s.registryURL(), err)
	}
	if err := response.Body.Close(); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("registry at %s answers %s", s.registryURL(), response.Status)
	}
	return nil
}

// checkRegistryPort finds a registry port that something else has taken, before anything is changed.
func (s *System) checkRegistryPort(ctx context.Context) error {
	found, err := s.find(ctx, config.RegistryContainer)
	if err != nil {
		return err
	}
	if found != nil && found.State.Running && publishedPort(found) == s.options.RegistryPort {
		return nil
	}
	if found != nil && found.State.Running && !ours(found) {
		state, err := s.checkAdopted(ctx, found)
		if err != nil {
			return err
		}
		return remedy(errors.New(state.Detail), state.Remedy)
	}
	return s.options.checkPort(ctx)
}

// RegistryLoss describes what goes with the registry, and who uses it too; "" if setup has none to remove.
func (s *System) RegistryLoss(ctx context.Context) (string, error) {
	found, err := s.find(ctx, config.RegistryContainer)
	if err != nil || found != nil && !ours(found) {
		return "", err
	}
	_, err = s.docker.VolumeInspect(ctx, config.RegistryContainer, client.VolumeInspectOptions{})
	if errdefs.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("inspecting volume %s: %w", config.RegistryContainer, err)
	}
	loss := fmt.Sprintf("container and volume %s with all its images", config.RegistryContainer)
	others, err := s.otherClusters(ctx)
	if len(others) > 0 {
		loss += ", which is in use by kind cluster " + strings.Join(others, ", ")
	}
	return loss, err
}

// removeRegistry removes the registry with all its images; one that setup only adopted is left.
func (s *System) removeRegistry(ctx context.Context) (string, error) {
	found, err := s.find(ctx, config.RegistryContainer)
	if err != nil {
		return "", err
	}
	if found != nil && !ours(found) {
		return config.RegistryContainer + " left: setup only adopted it", nil
	}
	err = errors.Join(s.removeContainer(ctx, config.RegistryContainer), s.removeVolume(ctx, config.RegistryContainer),
		s.removeSocket(ctx), s.removeImage(ctx, registryImage()))
	return config.RegistryContainer + " and its images removed", errors.Join(err, s.removeNetwork(ctx))
}

// removeSocket removes the volume with the registry's socket, unless the pusher of another cluster has it mounted.
func (s *System) removeSocket(ctx context.Context) error {
	if err := s.removeVolume(ctx, config.RegistrySocketVolume); !errdefs.IsConflict(err) {
		return err
	}
	return nil
}
