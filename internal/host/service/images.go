package service

import (
	"context"
	"errors"
	"slices"

	"kind-local-registry/config"
	"kind-local-registry/internal/carried"
	"kind-local-registry/internal/host/engine"
	"kind-local-registry/internal/host/step"
)

// RegistryImage returns the reference of the registry image that setup carries.
func RegistryImage() string { return config.RegistryImage + ":" + config.Version }

// WebhookImage returns the reference of the image that setup carries for both the webhook and the pusher.
func WebhookImage() string { return config.WebhookImage + ":" + config.Version }

// LinkerImage returns the reference of the linker image that setup carries.
func LinkerImage() string { return config.LinkerImage + ":" + config.Version }

// images implements the step that loads into Docker the images that setup carries.
type images struct {
	engine   *engine.Engine
	registry *Registry
}

// ImagesStep returns the step that loads into Docker the images that setup carries.
func ImagesStep(registry *Registry) step.Step {
	i := images{registry.engine, registry}
	return step.Step{Name: "images", Check: i.check, Apply: i.apply, Undo: i.undo, Plan: i.plan}
}

func (i images) check(ctx context.Context) (step.State, error) {
	for _, reference := range []string{RegistryImage(), WebhookImage(), LinkerImage()} {
		want, err := carried.Layers(reference)
		if err != nil {
			return step.State{}, err
		}
		have, err := i.engine.ImageLayers(ctx, reference)
		if err != nil {
			return step.State{}, err
		}
		if !slices.Equal(have, want) {
			return step.State{Detail: "Docker does not have image " + reference}, nil
		}
	}
	return step.State{OK: true, Detail: RegistryImage() + ", " + WebhookImage() + ", " + LinkerImage()}, nil
}

func (i images) apply(ctx context.Context, _ step.Progress) error {
	archive, err := carried.Archive()
	if err != nil {
		return err
	}
	return errors.Join(i.engine.LoadImages(ctx, archive), archive.Close())
}

// undo removes the webhook's image unless a pusher exists, because the pusher runs the same image. The registry's image is
// removed together with the registry.
func (i images) undo(ctx context.Context) (string, error) {
	pusher, err := i.engine.Find(ctx, config.PusherContainer)
	if err != nil || pusher != nil {
		return "kept: " + config.PusherContainer + " still serves another cluster", err
	}
	return WebhookImage() + " removed", i.engine.RemoveImage(ctx, WebhookImage())
}
