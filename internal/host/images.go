package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"kind-local-registry/config"
	"kind-local-registry/internal/carried"
)

// The images that setup carries, as Docker names them.
func registryImage() string { return config.RegistryImage + ":" + config.Version }
func webhookImage() string  { return config.WebhookImage + ":" + config.Version }

func (s *System) imagesStep() Step {
	return Step{Name: "images", Check: s.checkImages, Apply: s.applyImages, Undo: s.undoImages}
}

// checkImages says whether Docker holds exactly the images that this setup carries.
func (s *System) checkImages(ctx context.Context) (State, error) {
	for _, reference := range []string{registryImage(), webhookImage()} {
		want, err := carried.Layers(reference)
		if err != nil {
			return State{}, err
		}
		have, err := s.docker.ImageInspect(ctx, reference)
		if err != nil && !errdefs.IsNotFound(err) {
			return State{}, fmt.Errorf("inspecting image %s: %w", reference, err)
		}
		if !slices.Equal(have.RootFS.Layers, want) {
			return State{Detail: "Docker does not hold " + reference}, nil
		}
	}
	return State{OK: true, Detail: registryImage() + ", " + webhookImage()}, nil
}

// imageID returns the ID of an image in Docker, or "" where it has none of that name.
func (s *System) imageID(ctx context.Context, reference string) (string, error) {
	found, err := s.docker.ImageInspect(ctx, reference)
	if errdefs.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("inspecting image %s: %w", reference, err)
	}
	return found.ID, nil
}

func (s *System) applyImages(ctx context.Context, _ Progress) error {
	archive, err := carried.Archive()
	if err != nil {
		return err
	}
	loaded, err := s.docker.ImageLoad(ctx, archive, client.ImageLoadWithQuiet(true))
	if err != nil {
		return errors.Join(fmt.Errorf("loading images into Docker: %w", err), archive.Close())
	}
	_, err = io.Copy(io.Discard, loaded) // the load ends with its answer
	return errors.Join(err, loaded.Close(), archive.Close())
}

// undoImages removes the webhook's image, unless the pusher still runs on it; the registry's goes with the registry.
func (s *System) undoImages(ctx context.Context) (string, error) {
	pusher, err := s.find(ctx, config.PusherContainer)
	if err != nil || pusher != nil {
		return "left: " + config.PusherContainer + " still serves another cluster", err
	}
	return webhookImage() + " removed", s.removeImage(ctx, webhookImage())
}

func (s *System) removeImage(ctx context.Context, reference string) error {
	_, err := s.docker.ImageRemove(ctx, reference, client.ImageRemoveOptions{PruneChildren: true})
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("removing image %s: %w", reference, err)
	}
	return nil
}
