package restart

import (
	"context"
	"sync"

	"github.com/go-logr/logr"

	"kind-local-registry/webhook"
)

// maxQueued is how many images wait to be pushed.
const maxQueued = 256

// pushes pushes newer builds that cannot be promised. It is a manager.Runnable that only the leader runs.
type pushes struct {
	pusher webhook.Pusher
	pushed func(ctx context.Context, image string)
	log    logr.Logger
	wanted chan string
}

// newPushes returns a queue without images. It calls pushed with each image that was pushed.
func newPushes(pusher webhook.Pusher, pushed func(context.Context, string), log logr.Logger) *pushes {
	return &pushes{pusher: pusher, pushed: pushed, log: log, wanted: make(chan string, maxQueued)}
}

// add asks for a push of the image. If too many images wait, the next check of the workload asks again.
func (p *pushes) add(image string) {
	select {
	case p.wanted <- image:
	default:
	}
}

// Start runs the pushes that add asks for until ctx ends, each image once at a time.
func (p *pushes) Start(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	ended, busy := make(chan string), map[string]bool{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case image := <-ended:
			delete(busy, image)
		case image := <-p.wanted:
			if busy[image] {
				continue
			}
			busy[image] = true
			running.Go(func() {
				p.push(ctx, image)
				select {
				case <-ctx.Done():
				case ended <- image:
				}
			})
		}
	}
}

// push pushes an image. After an error, the next check of the workload asks for the push again.
func (p *pushes) push(ctx context.Context, image string) {
	_, err := p.pusher.Push(ctx, image, nil)
	switch {
	case err == nil:
		p.pushed(ctx, image)
	case ctx.Err() == nil:
		p.log.Info("image not pushed, its workloads are not restarted yet", "image", image, "error", err.Error())
	}
}
