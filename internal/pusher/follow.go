package pusher

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// followRetryDelay is how long Follow waits before it watches the daemon's events again. The stream of events ends if, for
	// example, the daemon restarts.
	followRetryDelay = 2 * time.Second
	// idleCheckInterval is how often Follow checks whether pushes are waiting.
	idleCheckInterval = 200 * time.Millisecond
	// maxChanged is the maximum number of changed images that wait for a push. Further images are pushed when a pod needs them.
	maxChanged = 1000
)

// Follow keeps the registry up to date with the daemon until ctx ends. When a tag that the registry serves moves to another
// image, Follow pushes that image, so the next pod does not have to wait. Pushes go first if a caller is waiting for them. If a
// push fails, Follow logs the error, and the image is pushed when a pod needs it.
func (s *Service) Follow(ctx context.Context, log *slog.Logger) {
	changed := make(chan string, maxChanged)
	var watching sync.WaitGroup
	defer watching.Wait()
	watching.Go(func() { s.watch(ctx, changed, log) })
	for {
		select {
		case <-ctx.Done():
			return
		case name := <-changed:
			if s.awaitIdle(ctx) {
				s.refresh(ctx, name, log)
			}
		}
	}
}

// watch sends the references of changed images to changed until ctx ends.
func (s *Service) watch(ctx context.Context, changed chan<- string, log *slog.Logger) {
	for {
		err := s.docker.Watch(ctx, func(name string) {
			select {
			case changed <- name:
			default:
			}
		})
		select {
		case <-ctx.Done():
			return
		case <-time.After(followRetryDelay):
			log.LogAttrs(ctx, slog.LevelInfo, "lost the docker daemon's event stream, watching again", slog.String("error", err.Error()))
		}
	}
}

// awaitIdle waits until a push can start immediately. It returns false if ctx ends first.
func (s *Service) awaitIdle(ctx context.Context) bool {
	tick := time.NewTicker(idleCheckInterval)
	defer tick.Stop()
	for !s.slots.TryAcquire(1) { // TryAcquire also fails while a push is waiting
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	s.slots.Release(1)
	return true
}

// refresh promises or pushes the image if the registry serves another image under the same reference.
func (s *Service) refresh(ctx context.Context, image string, log *slog.Logger) {
	name, err := parseName(image)
	if err != nil {
		return // the image has no tag
	}
	presence, err := s.Lookup(ctx, name)
	if err != nil || presence.Served == "" || presence.Digest != "" || presence.Refusal != "" || !presence.OnHost {
		return // the image is not in the registry, is unchanged, or cannot be pushed
	}
	if _, err := s.Promise(ctx, image); err == nil {
		s.prelink(ctx, name)
		return
	}
	start := time.Now()
	result, err := s.Push(ctx, image, nil)
	logPush(ctx, log, image, result, time.Since(start), err)
}
