package service

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"kind-local-registry/config"
)

// Loss describes what removing the registry would delete, and which other clusters use it. It returns "" if there is no registry
// that setup may remove.
func (r *Registry) Loss(ctx context.Context) (string, error) {
	found, err := r.engine.Find(ctx, config.RegistryContainer)
	if err != nil || found != nil && !found.Ours() {
		return "", err
	}
	exists, err := r.engine.VolumeExists(ctx, config.RegistryContainer)
	if err != nil || !exists {
		return "", err
	}
	loss := fmt.Sprintf("container and volume %s with all its images", config.RegistryContainer)
	others, err := r.others(ctx, r.Host())
	if len(others) > 0 {
		loss += ", which is in use by kind cluster " + strings.Join(others, ", ")
	}
	return loss, err
}

// remove removes the registry with all its images, unless setup only adopted it.
func (r *Registry) remove(ctx context.Context) (string, error) {
	found, err := r.engine.Find(ctx, config.RegistryContainer)
	if err != nil {
		return "", err
	}
	if found != nil && !found.Ours() {
		return config.RegistryContainer + " kept: setup only adopted it", nil
	}
	err = errors.Join(r.engine.RemoveContainer(ctx, config.RegistryContainer), r.engine.RemoveVolume(ctx, config.RegistryContainer),
		// The pusher may still have the socket's volume mounted, because it serves another cluster.
		r.engine.RemoveUnusedVolume(ctx, config.RegistrySocketVolume), r.engine.RemoveImage(ctx, RegistryImage()))
	return config.RegistryContainer + " and its images removed", errors.Join(err, r.engine.Network.Remove(ctx))
}
