package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"kind-local-registry/config"
)

// fingerprintLabel holds a digest of the piece that a container was made from: another digest, another container.
const fingerprintLabel = config.Label + "/made-from"

// imageLabel holds the reference of the image that a user chose for a container; "" for the one that setup carries.
const imageLabel = config.Label + "/image"

// answerTime is how long it takes at most until those who wait for a container that was replaced have asked it again.
const answerTime = time.Second

// loopback is the host's address on which containers publish their ports: nobody else can reach them there.
var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// piece is a container that setup keeps running on the kind network.
type piece struct {
	Name    string
	Image   string // its ID, so that a rebuilt image makes another piece
	Chosen  string // the image's reference, where a user chose it
	Command []string
	Env     []string
	Mounts  []string // of volumes and files, as in docker run -v
	// Reads are directories of the daemon's host that it reads, at the same paths, without what is mounted below them. One that
	// does not exist is left out.
	Reads []string
	// Capabilities are all that it has; a chosen image has Docker's defaults.
	Capabilities []string
	// HostUsers makes root in it root on the daemon's host, where that remaps users.
	HostUsers bool
	// ContainerPort is published on the host's loopback, at HostPort, or where that is 0 at a port that Docker chooses at
	// each start; 0 for none.
	HostPort, ContainerPort int
	// FromTop is which of the fixed addresses it has on the network.
	FromTop int
	Network string
}

func (p piece) fingerprint() string {
	document, _ := json.Marshal(p) // a struct of strings and numbers always marshals
	sum := sha256.Sum256(document)
	return hex.EncodeToString(sum[:])
}

// find returns the container of that name, or nil where there is none.
func (s *System) find(ctx context.Context, name string) (*container.InspectResponse, error) {
	found, err := s.docker.ContainerInspect(ctx, name, client.ContainerInspectOptions{})
	if errdefs.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("inspecting container %s: %w", name, err)
	}
	return &found.Container, nil
}

// ours says whether setup made the container.
func ours(c *container.InspectResponse) bool {
	return c.Config != nil && c.Config.Labels[config.Label] != ""
}

// checkPiece says whether the container runs as the piece says, and where it is reached.
func (s *System) checkPiece(ctx context.Context, p piece) (State, error) {
	found, err := s.find(ctx, p.Name)
	if err != nil {
		return State{}, err
	}
	switch {
	case found == nil:
		return State{Detail: "no container " + p.Name}, nil
	case !found.State.Running:
		return State{Detail: fmt.Sprintf("container %s is %s", p.Name, found.State.Status)}, nil
	case found.Config.Labels[fingerprintLabel] != p.fingerprint():
		return State{Detail: "container " + p.Name + " was made by another setup or with other options"}, nil
	}
	endpoint := found.NetworkSettings.Networks[p.Network]
	if endpoint == nil {
		return State{Detail: fmt.Sprintf("container %s is not on network %s", p.Name, p.Network)}, nil
	}
	return State{OK: true, Detail: describe(found, endpoint)}, nil
}

// describe says where a running container is reached, and whether its address would outlive a restart of Docker.
func describe(c *container.InspectResponse, endpoint *network.EndpointSettings) string {
	detail := strings.TrimPrefix(c.Name, "/") + " at " + endpoint.IPAddress.String()
	if endpoint.IPAMConfig == nil || !endpoint.IPAMConfig.IPv4Address.IsValid() {
		detail += " (not fixed: network made without a subnet; see docs/operations.md)"
	}
	return detail
}

// runPiece makes the container anew and starts it. What it holds is in its volumes, which stay. prepare, if any, is
// called on the container before it starts.
func (s *System) runPiece(ctx context.Context, p piece, prepare func(ctx context.Context, id string) error) error {
	fixed, err := s.fixedAddresses(ctx, p.FromTop)
	if err != nil {
		return err
	}
	err = s.recreate(ctx, p, fixed, prepare)
	if err != nil && strings.Contains(err.Error(), "user configured subnets") {
		// A network that kind made itself has no configured IPv4 subnet, and Docker then gives no fixed address.
		err = s.recreate(ctx, p, nil, prepare)
	}
	return err
}

// recreate makes the container and only then removes the one in whose place it comes, so that the piece is away for a second
// at most, and stays where there can be no other.
func (s *System) recreate(ctx context.Context, p piece, fixed *network.EndpointIPAMConfig, prepare func(context.Context, string) error) error {
	next := p.Name + "-next"
	if err := s.removeContainer(ctx, next); err != nil { // of a run that was cut off
		return err
	}
	id, err := s.create(ctx, p, next, fixed)
	if err != nil {
		return fmt.Errorf("creating container %s: %w", p.Name, err)
	}
	if prepare != nil {
		err = prepare(ctx, id)
	}
	if err == nil {
		err = s.replace(ctx, id, p.Name)
	}
	if err != nil { // a container that does not start is half-made
		removed := s.removeContainer(context.WithoutCancel(ctx), id)
		return errors.Join(fmt.Errorf("starting container %s: %w", p.Name, err), removed)
	}
	return nil
}

// create makes the container under that name and returns its ID. Only the daemon can tell which of the directories exist, as
// most users may not look there; so it is asked for all, and again without the one that it names in its refusal.
func (s *System) create(ctx context.Context, p piece, name string, fixed *network.EndpointIPAMConfig) (string, error) {
	labels := map[string]string{config.Label: p.Name, fingerprintLabel: p.fingerprint(), imageLabel: p.Chosen}
	for {
		hostConfig, exposed, err := p.hostConfig()
		if err != nil {
			return "", err
		}
		made, err := s.docker.ContainerCreate(ctx, client.ContainerCreateOptions{
			Name: name,
			Config: &container.Config{
				Image: p.Image, Cmd: p.Command, Env: p.Env, ExposedPorts: exposed, Labels: labels,
			},
			HostConfig: hostConfig,
			NetworkingConfig: &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{
				p.Network: {IPAMConfig: fixed},
			}},
		})
		if err == nil {
			return made.ID, nil
		}
		remaining := withoutAbsent(p.Reads, err)
		if len(remaining) == len(p.Reads) {
			return "", err
		}
		p.Reads = remaining
	}
}

// withoutAbsent returns the directories but for those that do not exist, as the daemon's refusal says.
func withoutAbsent(directories []string, refusal error) []string {
	var remaining []string
	for _, directory := range directories {
		if !strings.HasSuffix(refusal.Error(), "bind source path does not exist: "+directory) {
			remaining = append(remaining, directory)
		}
	}
	return remaining
}

// replace starts the container under the name, in the place of whatever has it. Look-ups that wait meanwhile are answered
// before it returns: they could not wait for the next piece too, should that be replaced as well.
func (s *System) replace(ctx context.Context, id, name string) error {
	replaced, err := s.find(ctx, name)
	if err != nil {
		return err
	}
	if err := s.removeContainer(ctx, name); err != nil {
		return err
	}
	if _, err := s.docker.ContainerRename(ctx, id, client.ContainerRenameOptions{NewName: name}); err != nil {
		return err
	}
	if _, err := s.docker.ContainerStart(ctx, id, client.ContainerStartOptions{}); err != nil || replaced == nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(answerTime):
		return nil
	}
}

func (p piece) hostConfig() (*container.HostConfig, network.PortSet, error) {
	hostConfig := &container.HostConfig{
		Binds:         p.Mounts,
		NetworkMode:   container.NetworkMode(p.Network),
		RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyAlways},
		LogConfig:     container.LogConfig{Type: "json-file", Config: map[string]string{"max-size": "10m", "max-file": "2"}},
		SecurityOpt:   []string{"no-new-privileges"},
	}
	if p.Chosen == "" { // another image may need more
		hostConfig.CapDrop, hostConfig.CapAdd, hostConfig.ReadonlyRootfs = []string{"ALL"}, p.Capabilities, true
	}
	if p.HostUsers {
		hostConfig.UsernsMode = "host"
	}
	for _, directory := range p.Reads {
		hostConfig.Mounts = append(hostConfig.Mounts, mount.Mount{
			Type: mount.TypeBind, Source: directory, Target: directory, ReadOnly: true,
			// What is mounted below, such as the file systems of containers, would be kept from being unmounted.
			BindOptions: &mount.BindOptions{NonRecursive: true},
		})
	}
	if p.ContainerPort == 0 {
		return hostConfig, nil, nil
	}
	port, err := network.ParsePort(strconv.Itoa(p.ContainerPort) + "/tcp")
	if err != nil {
		return nil, nil, fmt.Errorf("publishing port %d of %s: %w", p.ContainerPort, p.Name, err)
	}
	binding := network.PortBinding{HostIP: loopback}
	if p.HostPort != 0 {
		binding.HostPort = strconv.Itoa(p.HostPort)
	}
	hostConfig.PortBindings = network.PortMap{port: {binding}}
	return hostConfig, network.PortSet{port: {}}, nil
}

// published returns the address on the host's loopback at which a running container's port is reached, or "" where it is
// not published there.
func published(c *container.InspectResponse, port int) string {
	if c.NetworkSettings == nil {
		return ""
	}
	for inside, bindings := range c.NetworkSettings.Ports {
		for _, binding := range bindings {
			if int(inside.Num()) == port && binding.HostIP == loopback && binding.HostPort != "" {
				return net.JoinHostPort(loopback.String(), binding.HostPort)
			}
		}
	}
	return ""
}

func (s *System) removeContainer(ctx context.Context, name string) error {
	_, err := s.docker.ContainerRemove(ctx, name, client.ContainerRemoveOptions{Force: true})
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("removing container %s: %w", name, err)
	}
	return nil
}

func (s *System) removeVolume(ctx context.Context, name string) error {
	_, err := s.docker.VolumeRemove(ctx, name, client.VolumeRemoveOptions{})
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("removing volume %s: %w", name, err)
	}
	return nil
}
