package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"kind-local-registry/internal/docker"
	"kind-local-registry/internal/push"
	"kind-local-registry/internal/pusher"
	"kind-local-registry/internal/rewrite"
	"kind-local-registry/internal/rules"
)

// webhookImageStep brings the webhook's own image into the registry, the way every image goes there.
func (s *System) webhookImageStep() Step {
	return Step{Name: "webhook image", Check: s.checkWebhookImage, Apply: s.pushWebhookImage}
}

func (s *System) checkWebhookImage(ctx context.Context) (State, error) {
	digest, err := s.webhookDigest(ctx)
	if errors.Is(err, errNotReady) {
		return State{Detail: err.Error()}, nil
	}
	if err != nil {
		return State{}, err
	}
	return State{OK: true, Detail: fmt.Sprintf("%s/%s@%.19s…", s.registryHost(), webhookImage(), digest)}, nil
}

// webhookDigest returns the manifest digest of the webhook's image in the registry, or errNotReady where it is not there.
func (s *System) webhookDigest(ctx context.Context) (string, error) {
	name, err := rewrite.Parse(webhookImage())
	if err != nil {
		return "", err
	}
	var digest string
	err = s.withService(func(service *pusher.Service) error {
		held, err := service.Lookup(ctx, name)
		digest = held.Digest
		return err
	})
	if err == nil && digest == "" {
		err = errNotReady
	}
	if err != nil {
		return "", fmt.Errorf("%s in the registry: %w", webhookImage(), err)
	}
	return digest, nil
}

func (s *System) pushWebhookImage(ctx context.Context, progress Progress) error {
	return s.withService(func(service *pusher.Service) error {
		_, err := service.Push(ctx, webhookImage(), func(p push.Progress) {
			if p.Total > 0 {
				progress(fmt.Sprintf("%d of %d MB", p.Bytes/1e6, p.Total/1e6))
			}
		})
		if err != nil {
			return fmt.Errorf("pushing %s: %w", webhookImage(), err)
		}
		return nil
	})
}

// withService calls use with the pusher's service, in this process: setup has the daemon and the registry at hand. The
// user's rules are not for the webhook's own image.
func (s *System) withService(use func(*pusher.Service) error) error {
	daemon, err := docker.New("unix://" + s.socket)
	if err != nil {
		return err
	}
	registry, err := push.NewRegistry(s.registryURL())
	if err != nil {
		return errors.Join(err, daemon.Close())
	}
	service := pusher.NewService(daemon, registry, s.registryHost(), rules.Rules{}, slog.New(slog.DiscardHandler))
	err = use(service)
	service.Close()
	registry.Close()
	return errors.Join(err, daemon.Close())
}
