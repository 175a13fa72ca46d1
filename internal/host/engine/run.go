package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"kind-local-registry/internal/host/step"
)

// settleTime is the maximum time that clients of a replaced container take to retry.
const settleTime = time.Second

// Find returns the container with that name, or nil if there is none.
func (e *Engine) Find(ctx context.Context, name string) (*Found, error) {
	found, err := e.client.ContainerInspect(ctx, name, client.ContainerInspectOptions{})
	if errdefs.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("inspecting container %s: %w", name, err)
	}
	return &Found{found.Container}, nil
}

// Check returns OK if a container that was created from c is running. The state's detail then contains the container's address.
func (e *Engine) Check(ctx context.Context, c Container) (step.State, error) {
	found, err := e.Find(ctx, c.Name)
	if err != nil {
		return step.State{}, err
	}
	switch {
	case found == nil:
		return step.State{Detail: "no container " + c.Name}, nil
	case !found.Running():
		return step.State{Detail: fmt.Sprintf("container %s is %s", c.Name, found.State.Status)}, nil
	case found.Config.Labels[fingerprintLabel] != c.fingerprint():
		return step.State{Detail: "container " + c.Name + " was created by another version of setup or with other options"}, nil
	}
	if c.Network == "" {
		return step.State{OK: true, Detail: c.Name}, nil
	}
	endpoint := found.Endpoint(c.Network)
	if endpoint == nil {
		return step.State{Detail: fmt.Sprintf("container %s is not on network %s", c.Name, c.Network)}, nil
	}
	return step.State{OK: true, Detail: found.Describe(endpoint)}, nil
}

// Run creates and starts the container, and replaces any existing container with that name. The volumes are kept. If prepare is
// not nil, it is called with the new container's ID before the container starts.
func (e *Engine) Run(ctx context.Context, c Container, prepare func(ctx context.Context, id string) error) error {
	if c.Network == "" {
		return e.recreate(ctx, c, nil, prepare)
	}
	fixed, err := e.Network.fixedAddresses(ctx, c.FromTop)
	if err != nil {
		return err
	}
	err = e.recreate(ctx, c, fixed, prepare)
	if err != nil && strings.Contains(err.Error(), "user configured subnets") {
		// A network that kind created has no configured IPv4 subnet, so Docker assigns no fixed addresses.
		err = e.recreate(ctx, c, nil, prepare)
	}
	return err
}

// recreate creates the new container before it removes the old one. The service is therefore unavailable for at most one second,
// and the old container keeps running if the new one cannot be created.
func (e *Engine) recreate(ctx context.Context, c Container, fixed *network.EndpointIPAMConfig, prepare func(context.Context, string) error) error {
	next := c.Name + "-next"
	if err := e.RemoveContainer(ctx, next); err != nil { // an interrupted run may have left it behind
		return err
	}
	id, err := e.create(ctx, c, next, fixed)
	if err != nil {
		return fmt.Errorf("creating container %s: %w", c.Name, err)
	}
	if prepare != nil {
		err = prepare(ctx, id)
	}
	if err == nil {
		err = e.replace(ctx, id, c.Name)
	}
	if err != nil { // otherwise the next run would accept a container that has never started
		removed := e.RemoveContainer(context.WithoutCancel(ctx), id)
		return errors.Join(fmt.Errorf("starting container %s: %w", c.Name, err), removed)
	}
	return nil
}

// create creates the container under that name and returns its ID. Most users may not read the directories in c.Reads, so only
// the daemon knows which of them exist. create therefore requests all of them first, and retries without each directory that the
// daemon reports as missing.
func (e *Engine) create(ctx context.Context, c Container, name string, fixed *network.EndpointIPAMConfig) (string, error) {
	labels := c.labels()
	for {
		settings, exposed, err := c.hostConfig()
		if err != nil {
			return "", err
		}
		networking := &network.NetworkingConfig{}
		if c.Network != "" {
			networking.EndpointsConfig = map[string]*network.EndpointSettings{c.Network: {IPAMConfig: fixed}}
		}
		created, err := e.client.ContainerCreate(ctx, client.ContainerCreateOptions{
			Name: name,
			Config: &container.Config{
				Image: c.Image, Cmd: c.Command, Env: c.Env, ExposedPorts: exposed, Labels: labels,
			},
			HostConfig: settings, NetworkingConfig: networking,
		})
		if err == nil {
			return created.ID, nil
		}
		remaining := withoutMissing(c.Reads, err)
		if len(remaining) == len(c.Reads) {
			return "", err
		}
		c.Reads = remaining
	}
}

// withoutMissing returns the directories except the one that the daemon's error reports as missing.
func withoutMissing(directories []string, err error) []string {
	var remaining []string
	for _, directory := range directories {
		if !strings.HasSuffix(err.Error(), "bind source path does not exist: "+directory) {
			remaining = append(remaining, directory)
		}
	}
	return remaining
}

// replace removes the container with that name, and starts the new container under the name. It returns only after clients have
// had time to retry. Otherwise the next container could be replaced while clients are still waiting for this one.
func (e *Engine) replace(ctx context.Context, id, name string) error {
	replaced, err := e.Find(ctx, name)
	if err != nil {
		return err
	}
	if err := e.RemoveContainer(ctx, name); err != nil {
		return err
	}
	if _, err := e.client.ContainerRename(ctx, id, client.ContainerRenameOptions{NewName: name}); err != nil {
		return err
	}
	if _, err := e.client.ContainerStart(ctx, id, client.ContainerStartOptions{}); err != nil || replaced == nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(settleTime):
		return nil
	}
}

// Start starts an existing container, or unpauses it.
func (e *Engine) Start(ctx context.Context, name string) error {
	found, err := e.Find(ctx, name)
	if err != nil {
		return err
	}
	if found != nil && found.Paused() {
		if _, err := e.client.ContainerUnpause(ctx, name, client.ContainerUnpauseOptions{}); err != nil {
			return fmt.Errorf("unpausing container %s: %w", name, err)
		}
		return nil
	}
	if _, err := e.client.ContainerStart(ctx, name, client.ContainerStartOptions{}); err != nil {
		return fmt.Errorf("starting container %s: %w", name, err)
	}
	return nil
}

// RemoveContainer stops and removes a container. It succeeds if there is no container with that name.
func (e *Engine) RemoveContainer(ctx context.Context, name string) error {
	_, err := e.client.ContainerRemove(ctx, name, client.ContainerRemoveOptions{Force: true})
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("removing container %s: %w", name, err)
	}
	return nil
}
