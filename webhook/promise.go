package webhook

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"kind-local-registry/internal/rewrite"
)

// promiseTime is how long a request waits for promises. An image that is not promised by then is pushed while its pod is gated.
const promiseTime = 500 * time.Millisecond

// Promiser promises images.
type Promiser interface {
	// Promise has the registry serve an image, given by its original reference, before the image is pushed, and returns the
	// digest of the image manifest. It fails if the nodes cannot get the image without the registry.
	Promise(ctx context.Context, image string) (digest string, err error)
}

// Promises promises images at admission, so that their pods need no gate. Concurrent requests for one image share a promise.
type Promises struct {
	// Promiser promises each image.
	Promiser Promiser

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

// pin returns the decision with the digest of its image if that is promised before ctx ends. Any error leaves the decision as it
// is: the push reports it.
func (p *Promises) pin(ctx context.Context, decision rewrite.Decision) rewrite.Decision {
	flight := p.flights.DoChan(decision.Image, func() (any, error) { return p.Promiser.Promise(ctx, decision.Image) })
	select {
	case result := <-flight:
		if digest, ok := result.Val.(string); ok && result.Err == nil {
			decision, _ = decision.AfterPush(digest, nil)
		}
	case <-ctx.Done():
	}
	return decision
}
