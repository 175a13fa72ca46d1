package main

import (
	"context"
	"log/slog"
	"sync"

	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/push"
	"kind-local-registry/internal/pusher"
	"kind-local-registry/webhook"
	"kind-local-registry/webhook/lookup"
)

// pusherAPI contains the methods that pusher.Service and pusher.ReloadingClient have in common.
type pusherAPI interface {
	lookup.Looker
	Promise(ctx context.Context, image string) (digest.Digest, error)
	BrokenPromises(ctx context.Context) ([]pusher.BrokenPromise, error)
	Deliver(ctx context.Context, image string, progress func(push.Progress)) (push.Result, error)
}

// eventStream calls each with the events of the host's images, and connected once it receives them. It is the method Events of
// pusher.ReloadingClient.
type eventStream func(ctx context.Context, connected func(), each func(pusher.Event)) error

// webhookPusher adapts a pusherAPI to app.Pusher.
type webhookPusher struct {
	pusherAPI
	events eventStream
}

// ofService returns the event stream of a pusher in this process, which follows the daemon only while the stream is read.
func ofService(service *pusher.Service) eventStream {
	return func(ctx context.Context, connected func(), each func(pusher.Event)) error {
		ctx, stop := context.WithCancel(ctx)
		var following sync.WaitGroup
		defer following.Wait()
		defer stop()
		following.Go(func() { service.Follow(ctx, slog.Default()) })
		connected()
		return service.Events(ctx, each)
	}
}

// ImageEvents implements imagewatch.Events.
func (p webhookPusher) ImageEvents(ctx context.Context, connected func(), each func(image string)) error {
	return p.events(ctx, connected, func(event pusher.Event) {
		if event.Kind == pusher.EventBuilt || event.Kind == pusher.EventAvailable {
			each(event.Name)
		}
	})
}

// Push implements webhook.Pusher.
func (p webhookPusher) Push(ctx context.Context, image string, progress func(webhook.Progress)) (string, error) {
	var report func(push.Progress)
	if progress != nil {
		report = func(now push.Progress) { progress(webhook.Progress{Done: now.Bytes, Total: now.Total}) }
	}
	result, err := p.Deliver(ctx, image, report)
	return result.Digest.String(), err
}

// Promise implements webhook.Promiser.
func (p webhookPusher) Promise(ctx context.Context, image string) (string, error) {
	d, err := p.pusherAPI.Promise(ctx, image)
	return d.String(), err
}

// BrokenPromises implements delivery.BrokenPromises.
func (p webhookPusher) BrokenPromises(ctx context.Context) ([]webhook.BrokenPromise, error) {
	all, err := p.pusherAPI.BrokenPromises(ctx)
	broken := make([]webhook.BrokenPromise, 0, len(all))
	for _, b := range all {
		broken = append(broken, webhook.BrokenPromise{
			Image: b.Image, Digest: b.Digest.String(), Reason: b.Reason, Detail: b.Detail, At: b.At,
		})
	}
	return broken, err
}
