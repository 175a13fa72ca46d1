package chart

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"kind-local-registry/internal/docker"
	"kind-local-registry/internal/host/service"
	"kind-local-registry/internal/host/step"
	"kind-local-registry/internal/push"
	"kind-local-registry/internal/pusher"
	"kind-local-registry/internal/rewrite"
	"kind-local-registry/internal/rules"
)

// ImageStep returns the step that pushes the webhook's image to the registry, from this process.
func (c *Chart) ImageStep() step.Step {
	return step.Step{Name: "webhook image", Check: c.checkImage, Apply: c.pushImage}
}

func (c *Chart) checkImage(ctx context.Context) (step.State, error) {
	digest, err := c.imageDigest(ctx)
	if errors.Is(err, step.ErrMissing) {
		return step.State{Detail: err.Error()}, nil
	}
	if err != nil {
		return step.State{}, err
	}
	return step.State{OK: true, Detail: fmt.Sprintf("%s/%s@%.19s…", c.registry.Host(), service.WebhookImage(), digest)}, nil
}

// imageDigest returns the digest of the webhook's image in the registry. The error is step.ErrMissing if the registry does not
// have exactly the same image as Docker.
func (c *Chart) imageDigest(ctx context.Context) (string, error) {
	name, err := rewrite.Parse(service.WebhookImage())
	if err != nil {
		return "", err
	}
	var digest string
	err = c.withPusher(func(in *pusher.Service) error {
		present, err := in.Lookup(ctx, name)
		digest = present.Digest
		return err
	})
	if err != nil {
		return "", fmt.Errorf("looking up %s in the registry: %w", service.WebhookImage(), err)
	}
	if digest == "" {
		return "", fmt.Errorf("image %s %w in the registry", service.WebhookImage(), step.ErrMissing)
	}
	return digest, nil
}

func (c *Chart) pushImage(ctx context.Context, progress step.Progress) error {
	return c.withPusher(func(in *pusher.Service) error {
		_, err := in.Push(ctx, service.WebhookImage(), func(p push.Progress) {
			if p.Total > 0 {
				progress(fmt.Sprintf("%d of %d MB", p.Bytes/1e6, p.Total/1e6))
			}
		})
		if err != nil {
			return fmt.Errorf("pushing %s: %w", service.WebhookImage(), err)
		}
		return nil
	})
}

// withPusher calls use with a pusher that runs in this process and uses Docker and the registry directly. This pusher has no
// rules, because the user's rules do not apply to the webhook's own image.
func (c *Chart) withPusher(use func(*pusher.Service) error) error {
	daemon, err := docker.New(c.docker)
	if err != nil {
		return err
	}
	registry, err := push.NewRegistry(c.registry.URL())
	if err != nil {
		return errors.Join(err, daemon.Close())
	}
	in := pusher.NewService(daemon, registry, c.registry.Host(), rules.Rules{}, slog.New(slog.DiscardHandler))
	err = use(in)
	in.Close()
	registry.Close()
	return errors.Join(err, daemon.Close())
}
