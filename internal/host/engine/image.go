package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/client"
)

// ImageID returns the ID of an image, or "" if the daemon has no image with that name.
func (e *Engine) ImageID(ctx context.Context, reference string) (string, error) {
	found, err := e.inspectImage(ctx, reference)
	return found.ID, err
}

// ImageLayers returns the diffIDs of an image's layers, or nil if the daemon has no image with that name.
func (e *Engine) ImageLayers(ctx context.Context, reference string) ([]string, error) {
	found, err := e.inspectImage(ctx, reference)
	return found.RootFS.Layers, err
}

// ImageSize returns the size of an image in bytes, and whether the daemon has an image with that name.
func (e *Engine) ImageSize(ctx context.Context, reference string) (size int64, exists bool, err error) {
	found, err := e.inspectImage(ctx, reference)
	return found.Size, found.ID != "", err
}

// inspectImage returns an image, or the zero value if the daemon has no image with that name.
func (e *Engine) inspectImage(ctx context.Context, reference string) (client.ImageInspectResult, error) {
	found, err := e.client.ImageInspect(ctx, reference)
	if errdefs.IsNotFound(err) {
		return client.ImageInspectResult{}, nil
	}
	if err != nil {
		return client.ImageInspectResult{}, fmt.Errorf("inspecting image %s: %w", reference, err)
	}
	return found, nil
}

// Images returns Docker's images, except those from which a container with the label was created. If label is "", it returns all.
func (e *Engine) Images(ctx context.Context, label string) ([]image.Summary, error) {
	all, err := e.client.ImageList(ctx, client.ImageListOptions{})
	if err != nil {
		return nil, fmt.Errorf("listing Docker's images: %w", err)
	}
	if label == "" {
		return all.Items, nil
	}
	labelled, err := e.Labelled(ctx, label)
	if err != nil {
		return nil, err
	}
	used := map[string]bool{}
	for _, container := range labelled {
		used[container.ImageID] = true
	}
	return slices.DeleteFunc(all.Items, func(i image.Summary) bool { return used[i.ID] }), nil
}

// LoadImages loads an image archive, like docker load.
func (e *Engine) LoadImages(ctx context.Context, archive io.Reader) error {
	loaded, err := e.client.ImageLoad(ctx, archive, client.ImageLoadWithQuiet(true))
	if err != nil {
		return fmt.Errorf("loading images into Docker: %w", err)
	}
	_, err = io.Copy(io.Discard, loaded) // the images are loaded when the daemon's response ends
	return errors.Join(err, loaded.Close())
}

// PullImage pulls an image from its registry.
func (e *Engine) PullImage(ctx context.Context, reference string) error {
	pulled, err := e.client.ImagePull(ctx, reference, client.ImagePullOptions{})
	if err == nil {
		err = pulled.Wait(ctx)
	}
	return err
}

// RemoveImage removes an image. It succeeds if there is no image with that name.
func (e *Engine) RemoveImage(ctx context.Context, reference string) error {
	_, err := e.client.ImageRemove(ctx, reference, client.ImageRemoveOptions{PruneChildren: true})
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("removing image %s: %w", reference, err)
	}
	return nil
}
