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
	// pushTime is how long a request waits for the push of an image whose reference cannot change later.
	pushTime = 2 * time.Second
	// firstPushRetry and lastPushRetry are the shortest and longest pauses before a failed push is retried.
	firstPushRetry = time.Second
	lastPushRetry  = 30 * time.Second
)

// Progress reports how far a push has got.
type Progress struct {
	// Done is the number of bytes pushed so far.
	Done int64
	// Total is the number of bytes to push. It is 0 until an estimate is known, and exact once the push ends.
	Total int64
}

// Pusher pushes images from the host into the registry.
type Pusher interface {
	// Push pushes an image, given by its original reference, and returns the digest of its image manifest in the registry. It
	// returns immediately if the image is already present in the registry. If progress is not nil, Push calls it immediately and
	// then repeatedly, one call at a time and never after Push returns. progress must not block. The error is a *rewrite.Refusal if
	// the image can never be pushed; any other error may be temporary.
	Push(ctx context.Context, image string, progress func(Progress)) (digest string, err error)
}

// Pushes pushes images whose references cannot change once the pod or ephemeral container is created. Such an image cannot be
// pinned later, and nothing else pushes an ephemeral container's image. A push continues, with retries, even if its caller stops
// waiting, so a later pull by the kubelet finds the image.
type Pushes struct {
	// Pusher pushes each image.
	Pusher Pusher
	// Deadline limits how long a push is retried.
	Deadline time.Duration
	// Log receives a line about each push that failed for good.
	Log logr.Logger

	ctx     context.Context // a push outlives its caller
	flights singleflight.Group
}

// NewPushes returns a Pushes that ends all its pushes when ctx ends.
func NewPushes(ctx context.Context, pusher Pusher, deadline time.Duration, log logr.Logger) *Pushes {
	return &Pushes{Pusher: pusher, Deadline: deadline, Log: log, ctx: ctx}
}

// errCrowded is returned if the caller may not wait for the push because too many pods are already waiting.
var errCrowded = errors.New("too many pods are waiting for a push")

// Push starts pushing the image, or joins a push that is already running. If the caller may wait, Push waits until the push or
// ctx ends, and returns the image's digest if the push succeeded.
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

// push retries until the push succeeds, the image is refused, or the deadline passes.
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
		digest, err := p.Pusher.Push(ctx, image, nil) // no caller needs the progress
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

// roomKey is the context key for the function that reports whether the request may wait.
type roomKey struct{}

// WithRoom returns a copy of ctx. A request with this copy may wait for a push only if room returns true. room is called only
// when the request is about to wait.
func WithRoom(ctx context.Context, room func() bool) context.Context {
	return context.WithValue(ctx, roomKey{}, room)
}

// mayWait reports whether the request with this context may wait for a push.
func mayWait(ctx context.Context) bool {
	room, limited := ctx.Value(roomKey{}).(func() bool)
	return !limited || room()
}
