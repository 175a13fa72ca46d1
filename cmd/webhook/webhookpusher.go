package main

import (
	"context"

	"kind-local-registry/internal/push"
	"kind-local-registry/webhook"
	"kind-local-registry/webhook/lookup"
)

// pusherAPI contains the methods that pusher.Service and pusher.ReloadingClient have in common.
type pusherAPI interface {
	lookup.Looker
	Push(ctx context.Context, image string, progress func(push.Progress)) (push.Result, error)
}

// webhookPusher adapts a pusherAPI to webhook.Pusher.
type webhookPusher struct{ pusherAPI }

// Push implements webhook.Pusher.
func (p webhookPusher) Push(ctx context.Context, image string, progress func(webhook.Progress)) (string, error) {
	var report func(push.Progress)
	if progress != nil {
		report = func(now push.Progress) { progress(webhook.Progress{Done: now.Bytes, Total: now.Total}) }
	}
	result, err := p.pusherAPI.Push(ctx, image, report)
	return result.Digest.String(), err
}
