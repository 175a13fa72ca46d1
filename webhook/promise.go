package webhook

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/singleflight"

	"kind-local-registry/internal/rewrite"
)

// promiseTime is how long a request waits for promises. An image that is not promised by then is pushed while its pod is gated.
const promiseTime = 500 * time.Millisecond

// promiseDeadline limits how long a promise takes. It is longer than promiseTime, because a request may join a promise that an
// earlier request has started.
const promiseDeadline = 2 * time.Second

// Promiser promises images.
type Promiser interface {
	// Promise makes the registry serve an image before it is pushed, and returns the digest of the image manifest. image is the
	// original reference. Promise fails if the nodes cannot get the image's layers without the registry.
	Promise(ctx context.Context, image string) (digest string, err error)
}

// BrokenPromise is a promise that was broken after pods may have relied on it.
type BrokenPromise struct {
	// Image is the original reference, and Digest is the digest of the promised image manifest.
	Image, Digest string
	// Reason is the reason of the Events about the pods with the image. Detail describes the consequence and the cause.
	Reason, Detail string
	// At is when the promise was broken.
	At time.Time
}

// Promises promises images at admission, so that their pods need no gate. Concurrent requests for one image share a promise.
type Promises struct {
	// Promiser promises each image.
	Promiser Promiser
	// Log receives a line about each panic.
	Log logr.Logger

	flights singleflight.Group
}

// promise promises the images that must be pushed, and pins those that were promised within promiseTime.
func (p *Promises) promise(ctx context.Context, outcomes []Outcome) {
	if p == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, promiseTime)
	defer cancel()
	var promising sync.WaitGroup
	for i := range outcomes {
		decision := &outcomes[i].Decision
		if decision.Reason == rewrite.RewrittenPushing {
			promising.Go(func() { *decision = p.pin(ctx, *decision) })
		}
	}
	promising.Wait()
}

// pin returns the decision with the digest of its image if the image is promised before ctx ends. On an error, it returns the
// decision unchanged, and the later push reports the error.
func (p *Promises) pin(ctx context.Context, decision rewrite.Decision) rewrite.Decision {
	flight := p.flights.DoChan(decision.Image, func() (any, error) { return p.request(ctx, decision.Image) })
	select {
	case result := <-flight:
		if digest, _ := result.Val.(string); digest != "" && result.Err == nil {
			decision, _ = decision.AfterPush(digest, nil)
		}
	case <-ctx.Done():
	}
	return decision
}

// request promises the image. It continues when ctx ends, because other requests may share the promise. A panic becomes an
// error, because singleflight would otherwise end the process.
func (p *Promises) request(ctx context.Context, image string) (digest string, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("panic: %v", fault)
			p.Log.Error(err, "image not promised", "image", image)
		}
	}()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), promiseDeadline)
	defer cancel()
	return p.Promiser.Promise(ctx, image)
}
