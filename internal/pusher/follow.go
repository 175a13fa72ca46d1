package pusher

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// followRetryDelay is how long it is from the end of the daemon's events, as when it is restarted, to the next try.
	followRetryDelay = 2 * time.Second
	// idleCheckInterval is how often it is looked whether nobody waits for a push.
	idleCheckInterval = 200 * time.Millisecond
	// maxChanged is how many names are kept that changed. Those beyond it are pushed when a pod wants them.
	maxChanged = 1000
)

// Follow keeps the registry up with the daemon, until ctx ends: a name that the registry serves already is pushed again when
// it comes to stand for another image, so that the next pod need not wait for that. Pushes that somebody waits for go first.
// What goes wrong is logged, and left to the pod that wants the image.
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

// watch tells of names that changed, until ctx ends.
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
			log.LogAttrs(ctx, slog.LevelInfo, "events lost, following again", slog.String("error", err.Error()))
		}
	}
}

// awaitIdle waits until another push would keep nobody waiting. It returns false where ctx ended before.
func (s *Service) awaitIdle(ctx context.Context) bool {
	tick := time.NewTicker(idleCheckInterval)
	defer tick.Stop()
	for !s.slots.TryAcquire(1) { // as it does while anybody waits
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	s.slots.Release(1)
	return true
}

// refresh pushes the image of that name, if the registry serves another one under it.
func (s *Service) refresh(ctx context.Context, image string, log *slog.Logger) {
	name, err := parseName(image)
	if err != nil {
		return // an image that has no name
	}
	presence, err := s.Lookup(ctx, name)
	if err != nil || presence.Served == "" || presence.Digest != "" || presence.Refusal != "" || !presence.OnHost {
		return // nothing of ours, or nothing new
	}
	start := time.Now()
	result, err := s.Push(ctx, image, nil)
	logPush(ctx, log, image, result, time.Since(start), err)
}
