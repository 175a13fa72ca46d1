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
	// pushTime is how long the creation of a pod waits for the push of an image whose reference cannot change later.
	pushTime = 2 * time.Second
	// firstPushRetry and lastPushRetry are the shortest and the longest pause before a failed push is retried.
	firstPushRetry = time.Second
	lastPushRetry  = 30 * time.Second
)

// Progress reports how far a push has got.
type Progress struct {
	// Done is the number of bytes that were pushed.
	Done int64
	// Total is the number of bytes to push: an estimate until the end, and 0 while it is unknown.
	Total int64
}

// Pusher pushes images of the host into the registry.
type Pusher interface {
	// Push pushes the image, a reference as its author wrote it, and returns the digest of its image manifest in the registry.
	// An image that is present in the registry takes no time. Push calls progress, unless it is nil, immediately and then
	// repeatedly, never concurrently and never after the end; progress must not block. The error is a *rewrite.Refusal if the
	// image can never be pushed; any other error may pass.
	Push(ctx context.Context, image string, progress func(Progress)) (digest string, err error)
}

// Pushes has images pushed whose reference cannot change after the pod or its ephemeral container is created: nothing can pin
// such an image later, and for an ephemeral container nothing else pushes it. A push continues after its caller has left, and
// is retried, so that the kubelet's next attempt finds the image.
type Pushes struct {
	// Pusher pushes the images.
	Pusher Pusher
	// Deadline is how long a push is retried.
	Deadline time.Duration
	// Log takes the pushes that failed for good.
	Log logr.Logger

	ctx     context.Context // a push outlives its caller
	flights singleflight.Group
}

// NewPushes returns Pushes that end with ctx.
func NewPushes(ctx context.Context, pusher Pusher, deadline time.Duration, log logr.Logger) *Pushes {
	return &Pushes{Pusher: pusher, Deadline: deadline, Log: log, ctx: ctx}
}

// errCrowded is the error of a push that the caller does not wait for, because too many pods wait.
var errCrowded = errors.New("too many pods wait for a push")

// Push has the image pushed. It returns the digest if the push ends before ctx and the caller may wait.
func (p *Pushes) Push(ctx context.Context, image string) (digest string, err error) {
	flight := p.flights.DoChan(image, func() (any, error) { return p.push(image) }) //nolint:contextcheck // it outlives ctx
	if !mayWait(ctx) {
		return "", fmt.Errorf("pushing %s: %w", image, errCrowded)
	}
	select {
	case result := <-flight:
		digest, _ := result.Val.(string)
		return digest, result.Err
	case <-ctx.Done():
		return "", fmt.Errorf("pushing %s: %w", image, context.Cause(ctx))
	}
}

// push pushes until it succeeds, is refused, or the deadline passes.
func (p *Pushes) push(image string) (digest string, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("pushing %s: panic: %v", image, fault)
		}
		if err != nil && p.ctx.Err() == nil {
			p.Log.Info("image not pushed", "image", image, "error", err.Error())
		}
	}()
	ctx, cancel := context.WithTimeout(p.ctx, p.Deadline)
	defer cancel()
	for wait := firstPushRetry; ; wait = min(2*wait, lastPushRetry) {
		digest, err := p.Pusher.Push(ctx, image, nil) // no caller takes its progress
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

// roomKey is the key of a request's waiting room in its context.
type roomKey struct{}

// WithRoom returns the context of a request that may wait for a push only if room returns true. Nothing is asked of room
// before.
func WithRoom(ctx context.Context, room func() bool) context.Context {
	return context.WithValue(ctx, roomKey{}, room)
}

// mayWait reports whether the request of the context may wait for a push.
func mayWait(ctx context.Context) bool {
	room, limited := ctx.Value(roomKey{}).(func() bool)
	return !limited || room()
}
