package service

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/engine"
	"kind-local-registry/internal/host/step"
)

// linkOff is the value of config.LinkVariable and of the flag --link that makes nodes pull every layer.
const linkOff = "off"

// Linker is the linker's container.
type Linker struct {
	engine *engine.Engine
	pusher *Pusher
}

// NewLinker returns the linker that the pusher uses.
func NewLinker(pusher *Pusher) *Linker { return &Linker{engine: pusher.engine, pusher: pusher} }

// Step returns the step that starts the linker, or removes it if it is not used.
func (l *Linker) Step() step.Step {
	return step.Step{Name: "linker", Check: l.check, Apply: l.apply, Foreign: l.foreign, Undo: l.undo, Plan: l.plan}
}

// container describes the linker's container.
func (l *Linker) container(ctx context.Context) (engine.Container, error) {
	id, err := l.engine.ImageID(ctx, LinkerImage())
	if err != nil {
		return engine.Container{}, err
	}
	return engine.Container{
		Name: config.LinkerContainer, Image: id,
		Command: []string{"--socket", config.LinkerSocket, "--docker-host", "unix://" + dockerSocket},
		Env:     []string{"GOMEMLIMIT=48MiB"},
		Mounts:  []string{registrySocketMount, l.engine.Socket + ":" + dockerSocket},
		// The daemon's layers and the nodes' volumes must be on the same mount, because a hard link cannot cross mounts.
		Writes: l.engine.Layout.SharedDirectory(),
		// The linker reaches containerd's socket through the first process of the node or host (SYS_PTRACE). It sets directories'
		// owners, modes and trusted.overlay.* attributes.
		HostProcesses: true, HostUsers: true,
		Capabilities: []string{"CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "SETFCAP", "SYS_ADMIN", "SYS_PTRACE"},
	}, nil
}

// unused returns why no layers are linked on this host, or "".
func (l *Linker) unused(ctx context.Context) (string, error) {
	carried, err := l.pusher.registry.carried(ctx)
	switch {
	case err != nil:
		return "", err
	case l.pusher.link == linkOff:
		return "--link=off", nil
	case !carried:
		return "only the registry that setup carries can have layers linked", nil
	case l.engine.Virtual:
		return "Docker runs in a virtual machine", nil
	}
	if unshared := l.engine.Layout.Unshared(); unshared != nil {
		return unshared.Error(), nil //nolint:nilerr // a reason, not a failure
	}
	return "", nil
}

func (l *Linker) check(ctx context.Context) (step.State, error) {
	found, err := l.engine.Find(ctx, config.LinkerContainer)
	if err != nil {
		return step.State{}, err
	}
	unused, err := l.unused(ctx)
	if err != nil {
		return step.State{}, err
	}
	if unused != "" {
		detail := "nodes pull every layer: " + unused
		if found != nil {
			return step.State{Detail: fmt.Sprintf("container %s is not needed: %s", config.LinkerContainer, detail)}, nil
		}
		return step.State{OK: true, Detail: detail}, nil
	}
	c, err := l.container(ctx)
	if err != nil {
		return step.State{}, err
	}
	state, err := l.engine.Check(ctx, c)
	if err == nil && state.OK {
		state.Detail += ": " + l.nodes(ctx)
	}
	return state, err
}

// nodes describes which nodes can be given layers. Other nodes pull them, so nothing that it describes is a fault.
func (l *Linker) nodes(ctx context.Context) string {
	nodes, err := l.List(ctx)
	if err != nil {
		return "the linker does not answer: " + err.Error()
	}
	var unlinkable []string
	for _, n := range nodes {
		if n.Unlinkable != "" {
			unlinkable = append(unlinkable, fmt.Sprintf("; %s pulls layers: %s: %s", n.Name, n.Unlinkable, n.Detail))
		}
	}
	return fmt.Sprintf("layers are linked to %d of %s%s", len(nodes)-len(unlinkable), step.Count(len(nodes), "node"), strings.Join(unlinkable, ""))
}

// foreign lists the replacement of a container that has the linker's name although setup did not create it.
func (l *Linker) foreign(ctx context.Context) ([]step.Change, error) {
	return replaced(ctx, l.engine, config.LinkerContainer)
}

func (l *Linker) apply(ctx context.Context, _ step.Progress) error {
	unused, err := l.unused(ctx)
	if err != nil {
		return err
	}
	if unused != "" {
		return l.engine.RemoveContainer(ctx, config.LinkerContainer)
	}
	c, err := l.container(ctx)
	if err != nil {
		return err
	}
	return l.engine.Run(ctx, c, nil)
}

// undo removes the linker unless another kind cluster uses it, or setup did not create it.
func (l *Linker) undo(ctx context.Context) (string, error) {
	if why, err := l.pusher.registry.kept(ctx, config.LinkerContainer); err != nil || why != "" {
		return "kept: " + why, err
	}
	err := errors.Join(l.engine.RemoveContainer(ctx, config.LinkerContainer), l.engine.RemoveImage(ctx, LinkerImage()))
	return config.LinkerContainer + " removed", err
}
