package engine

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
)

// VolumeExists reports whether the daemon has a volume with that name.
func (e *Engine) VolumeExists(ctx context.Context, name string) (bool, error) {
	_, err := e.client.VolumeInspect(ctx, name, client.VolumeInspectOptions{})
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("inspecting volume %s: %w", name, err)
	}
	return true, nil
}

// RemoveVolume removes a volume with all its data. It succeeds if there is no volume with that name.
func (e *Engine) RemoveVolume(ctx context.Context, name string) error {
	_, err := e.client.VolumeRemove(ctx, name, client.VolumeRemoveOptions{})
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("removing volume %s: %w", name, err)
	}
	return nil
}

// RemoveUnusedVolume is like RemoveVolume, but keeps a volume that a container mounts.
func (e *Engine) RemoveUnusedVolume(ctx context.Context, name string) error {
	if err := e.RemoveVolume(ctx, name); !errdefs.IsConflict(err) {
		return err
	}
	return nil
}
