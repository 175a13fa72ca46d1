package webhooktest

import (
	"context"
	"errors"
	"time"

	"kind-local-registry/webhook"
)

// SlowPusher is a Pusher whose pushes are slow. The first ones may fail.
type SlowPusher struct {
	// Takes is how long each push takes.
	Takes time.Duration
	// Failures is how many of the next pushes fail.
	Failures int
	// Pushed counts the pushes that succeeded.
	Pushed int
}

// Push implements webhook.Pusher.
func (p *SlowPusher) Push(ctx context.Context, _ string, _ func(webhook.Progress)) (string, error) {
	select {
	case <-time.After(p.Takes):
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if p.Failures > 0 {
		p.Failures--
		return "", errors.New("no route to host")
	}
	p.Pushed++
	return Digest, nil
}
