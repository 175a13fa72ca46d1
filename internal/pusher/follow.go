package pusher

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// followRetryDelay is the pause before the daemon's events are watched again after they ended, as when it restarts.
	followRetryDelay = 2 * time.Second
	// idleCheckInterval is the time between two checks for waiting pushes.
	idleCheckInterval = 200 * time.Millisecond
	// maxChanged is how many changed images wait for a push. Further ones are pushed when a pod needs them.
	maxChanged = 1000
)

// Follow keeps the registry up to date with the daemon until ctx ends: when a tag that the registry serves moves to another
// image, it is pushed again, so that the next pod does not wait. Pushes with a waiting caller go first. Errors are logged, and
// the image is pushed when a pod needs it.
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

// watch sends changed image references until ctx ends.
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
			log.LogAttrs(ctx, slog.LevelInfo, "lost the docker daemon's events, watching again", slog.String("error", err.Error()))
		}
	}
}

// awaitIdle waits until no push has to wait for another one. It returns false if ctx ends first.
func (s *Service) awaitIdle(ctx context.Context) bool {
	tick := time.NewTicker(idleCheckInterval)
	defer tick.Stop()
	for !s.slots.TryAcquire(1) { // it also fails while a push waits
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	s.slots.Release(1)
	return true
}

// refresh pushes the image if the registry serves another one by its reference.
func (s *Service) refresh(ctx context.Context, image string, log *slog.Logger) {
	name, err := parseName(image)
	if err != nil {
		return // an image without a tag
	}
	presence, err := s.Lookup(ctx, name)
	if err != nil || presence.Served == "" || presence.Digest != "" || presence.Refusal != "" || !presence.OnHost {
		return // not in the registry, or unchanged
	}
	start := time.Now()
	result, err := s.Push(ctx, image, nil)
	logPush(ctx, log, image, result, time.Since(start), err)
}
