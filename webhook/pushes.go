package webhook

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/singleflight"

	"kind-local-registry/internal/rewrite"
)

const (
	// pushTime is how long the creation of a pod waits for an image whose reference cannot be changed afterwards.
	pushTime = 2 * time.Second
	// firstPushRetry and lastPushRetry bound the time between two tries of a push that failed.
	firstPushRetry = time.Second
	lastPushRetry  = 30 * time.Second
)

// Progress is how far a push is.
type Progress struct {
	// Done is how many bytes have been moved.
	Done int64
	// Total is how many bytes are to be moved: an estimate until the end, and 0 while nothing is known.
	Total int64
}

// Pusher brings images of the host into the registry.
type Pusher interface {
	// Push brings the image called name, a reference as it was written, into the registry, and returns the digest of its
	// manifest there. An image that is there already is pushed in no time. progress, where it is not nil, is told now and
	// then how far that is, never twice at a time and never after the end; it must not block. Push fails with a
	// *rewrite.Refusal for an image that it can never bring there; any other error may pass.
	Push(ctx context.Context, name string, progress func(Progress)) (digest string, err error)
}

// Pushes has images pushed whose reference must be final when the pod, or its ephemeral container, is created: nobody can
// pin a digest there later, and for an ephemeral container nobody else comes to push it. A push goes on when the one who
// asked for it has left, and is tried again where it failed, so that the kubelet's next try finds the image.
type Pushes struct {
	// Pusher pushes.
	Pusher Pusher
	// Deadline is how long a push is tried.
	Deadline time.Duration
	// Log is told of pushes that failed for good.
	Log logr.Logger

	ctx     context.Context // a push outlives whoever asked for it
	flights singleflight.Group
}

// NewPushes returns Pushes that push until ctx ends.
func NewPushes(ctx context.Context, pusher Pusher, deadline time.Duration, log logr.Logger) *Pushes {
	return &Pushes{Pusher: pusher, Deadline: deadline, Log: log, ctx: ctx}
}

// errCrowded is the error of a push that is not waited for, as too many are.
var errCrowded = errors.New("too many pods wait for a push")

// Push has the image pushed, and returns its digest if that is done before ctx ends and there is room to wait.
func (p *Pushes) Push(ctx context.Context, name string) (digest string, err error) {
	flight := p.flights.DoChan(name, func() (any, error) { return p.push(name) }) //nolint:contextcheck // it outlives ctx
	if !mayWait(ctx) {
		return "", fmt.Errorf("pushing %s: %w", name, errCrowded)
	}
	select {
	case result := <-flight:
		digest, _ := result.Val.(string)
		return digest, result.Err
	case <-ctx.Done():
		return "", fmt.Errorf("pushing %s: %w", name, context.Cause(ctx))
	}
}

// push pushes until that succeeds, is refused, or the deadline is over.
func (p *Pushes) push(name string) (digest string, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("pushing %s: panic: %v", name, fault)
		}
		if err != nil && p.ctx.Err() == nil {
			p.Log.Info("image not pushed", "image", name, "error", err.Error())
		}
	}()
	ctx, cancel := context.WithTimeout(p.ctx, p.Deadline)
	defer cancel()
	for wait := firstPushRetry; ; wait = min(2*wait, lastPushRetry) {
		digest, err := p.Pusher.Push(ctx, name, nil) // nobody can be told of it
		if err == nil || rewrite.ReasonOf(err) != "" {
			return digest, err
		}
		select {
		case <-ctx.Done():
			return "", err
		case <-time.After(wait):
		}
	}
}
