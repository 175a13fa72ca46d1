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

// notOurs explains why a container is kept.
const notOurs = "setup did not create it"

// plan collects the changes that undoing a step would make to the daemon's objects. It omits objects that do not exist.
type plan struct {
	engine  *engine.Engine
	changes []step.Change
	err     error
}

// container adds the removal of a container, or that the container is kept if why is not "".
func (p *plan) container(ctx context.Context, name, why string) {
	found, err := p.engine.Find(ctx, name)
	if p.err = errors.Join(p.err, err); err != nil || found == nil {
		return
	}
	p.add(step.Change{Kind: step.Container, Name: name}, why)
}

// volume adds the removal of a volume, or that the volume is kept if why is not "".
func (p *plan) volume(ctx context.Context, change step.Change, why string) {
	exists, err := p.engine.VolumeExists(ctx, change.Name)
	if p.err = errors.Join(p.err, err); err != nil || !exists {
		return
	}
	change.Kind = step.Volume
	p.add(change, why)
}

// image adds the removal of an image.
func (p *plan) image(ctx context.Context, reference string) {
	size, exists, err := p.engine.ImageSize(ctx, reference)
	if p.err = errors.Join(p.err, err); err == nil && exists {
		p.add(step.Change{Kind: step.Image, Name: reference, Bytes: size}, "")
	}
}

// network adds the removal of the kind network, if setup created it.
func (p *plan) network(ctx context.Context) {
	ours, err := p.engine.Network.Ours(ctx)
	if p.err = errors.Join(p.err, err); err == nil && ours {
		p.add(step.Change{Kind: step.Network, Name: p.engine.Network.Name, Detail: "unless a container is still connected to it"}, "")
	}
}

func (p *plan) add(change step.Change, why string) {
	change.Action = step.Delete
	if why != "" {
		change.Action, change.Detail, change.Loss = step.Keep, why, false
	}
	p.changes = append(p.changes, change)
}

// sharedBy explains why a container that other kind clusters use is kept. It is "" if no other cluster uses it.
func (r *Registry) sharedBy(ctx context.Context) (string, error) {
	others, err := r.others(ctx, r.Host())
	if err != nil || len(others) == 0 {
		return "", err
	}
	return fmt.Sprintf("it serves kind cluster %s too", strings.Join(others, ", ")), nil
}

// kept explains why the container is not removed. It is "" if the container is removed or does not exist.
func (r *Registry) kept(ctx context.Context, container string) (why string, err error) {
	if why, err = r.sharedBy(ctx); err != nil || why != "" {
		return why, err
	}
	found, err := r.engine.Find(ctx, container)
	if err == nil && found != nil && !found.Ours() {
		why = notOurs
	}
	return why, err
}

// replaced lists the replacement of a container that setup did not create by ours of the same name.
func replaced(ctx context.Context, docker *engine.Engine, container string) ([]step.Change, error) {
	found, err := docker.Find(ctx, container)
	if err != nil || found == nil || found.Ours() {
		return nil, err
	}
	return []step.Change{{
		Action: step.Replace, Kind: step.Container, Name: container, Detail: notOurs + ", and setup needs the name", Loss: true,
	}}, nil
}

// plan lists what undo would do to the linker's container and image.
func (l *Linker) plan(ctx context.Context) ([]step.Change, error) {
	why, err := l.pusher.registry.kept(ctx, config.LinkerContainer)
	p := &plan{engine: l.engine, err: err}
	p.container(ctx, config.LinkerContainer, why)
	if why == "" {
		p.image(ctx, LinkerImage())
	}
	return p.changes, p.err
}

// plan lists what undo would do to the pusher's container and volume.
func (p *Pusher) plan(ctx context.Context) ([]step.Change, error) {
	why, err := p.registry.kept(ctx, config.PusherContainer)
	all := &plan{engine: p.engine, err: err}
	all.container(ctx, config.PusherContainer, why)
	if why == "" && len(all.changes) > 0 && p.rules != "" {
		all.changes[0].Detail = "its rules are lost; set them again with setup up --rules FILE"
	}
	all.volume(ctx, step.Change{Name: config.PusherContainer}, why)
	return all.changes, all.err
}

// plan lists what undo would do to the webhook's image.
func (i images) plan(ctx context.Context) ([]step.Change, error) {
	shared, err := i.registry.sharedBy(ctx)
	p := &plan{engine: i.engine, err: err}
	if shared == "" {
		p.image(ctx, WebhookImage())
	}
	return p.changes, p.err
}
