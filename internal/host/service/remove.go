package service

import (
	"context"
	"errors"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/step"
)

// RemoveStep returns the step that removes the registry with all its images. It keeps a registry that another tool created, like
// KeepStep.
func (r *Registry) RemoveStep() step.Step {
	return step.Step{Name: "registry", Undo: r.remove, Plan: r.planRemove}
}

// remove removes the registry with all its images, unless setup only adopted it.
func (r *Registry) remove(ctx context.Context) (string, error) {
	found, err := r.engine.Find(ctx, config.RegistryContainer)
	if err != nil {
		return "", err
	}
	if found != nil && !found.Ours() {
		return r.disconnect(ctx)
	}
	err = errors.Join(r.engine.RemoveContainer(ctx, config.RegistryContainer), r.engine.RemoveVolume(ctx, config.RegistryContainer),
		// The pusher may still have the socket's volume mounted, because it serves another cluster.
		r.engine.RemoveUnusedVolume(ctx, config.RegistrySocketVolume), r.engine.RemoveImage(ctx, RegistryImage()))
	return config.RegistryContainer + " and its images removed", errors.Join(err, r.engine.Network.Remove(ctx))
}

// planRemove lists what remove would do.
func (r *Registry) planRemove(ctx context.Context) ([]step.Change, error) {
	found, err := r.engine.Find(ctx, config.RegistryContainer)
	if err != nil {
		return nil, err
	}
	if found != nil && !found.Ours() {
		return r.planAdopted(ctx, found)
	}
	shared, err := r.sharedBy(ctx)
	p := &plan{engine: r.engine, err: err}
	p.container(ctx, config.RegistryContainer, "")
	images := step.Change{
		Name: config.RegistryContainer, Bytes: r.engine.VolumeSize(ctx, config.RegistryContainer), Loss: true,
		Detail: "every image in the registry",
	}
	if shared != "" {
		images.Detail += "; " + shared
	}
	p.volume(ctx, images, "")
	p.volume(ctx, step.Change{Name: config.RegistrySocketVolume}, "")
	p.image(ctx, RegistryImage())
	p.network(ctx)
	return p.changes, p.err
}
