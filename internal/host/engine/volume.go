package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"kind-local-registry/config"
)

// sizeTimeout limits how long the daemon may take to measure the volumes. It reads every directory in them.
const sizeTimeout = 8 * time.Second

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

// CreateVolume creates a volume with our label. It succeeds if there already is a volume with that name.
func (e *Engine) CreateVolume(ctx context.Context, name string) error {
	_, err := e.client.VolumeCreate(ctx, client.VolumeCreateOptions{Name: name, Labels: map[string]string{config.Label: name}})
	if err != nil {
		return fmt.Errorf("creating volume %s: %w", name, err)
	}
	return nil
}

// VolumeSize returns the size of a volume in bytes. It returns 0 if the daemon does not know the size, or takes too long to measure
// the volumes: setup only displays the size.
func (e *Engine) VolumeSize(ctx context.Context, name string) int64 {
	ctx, cancel := context.WithTimeout(ctx, sizeTimeout)
	defer cancel()
	usage, err := e.client.DiskUsage(ctx, client.DiskUsageOptions{Volumes: true, Verbose: true})
	if err != nil {
		return 0
	}
	for _, volume := range usage.Volumes.Items {
		if volume.Name == name && volume.UsageData != nil && volume.UsageData.Size > 0 { // -1 if it is unknown
			return volume.UsageData.Size
		}
	}
	return 0
}
