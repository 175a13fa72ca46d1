package pusher

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/rewrite"
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

// Follow reports the daemon's changed images as events until ctx ends. Unless the rules disable it, Follow also keeps the registry
// up to date: when a tag that the registry serves moves to another image, Follow promises or pushes that image, so the next pod does
// not have to wait. Pushes go first if a caller is waiting for them. If a push fails, Follow logs the error, and the image is pushed
// when a pod needs it.
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
			s.refresh(ctx, name, log)
		}
	}
}

// watch reports changed images as events, and sends their references to changed, until ctx ends. If it loses the daemon's events,
// it reads those that it has missed afterwards.
func (s *Service) watch(ctx context.Context, changed chan<- string, log *slog.Logger) {
	var since time.Time
	for {
		s.tags.setWatched(true)
		err := s.docker.Watch(ctx, since, func(name string, id digest.Digest) {
			s.tags.expire()
			s.reportBuild(name, id)
			select {
			case changed <- name:
			default:
			}
		})
		s.tags.setWatched(false)
		since = time.Now()
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

// reportBuild reports that a tag of the daemon refers to the image with that ID. id may be "". Images that the rules exclude are
// not reported.
func (s *Service) reportBuild(image string, id digest.Digest) {
	name, err := parseName(image)
	if err != nil {
		return
	}
	if _, err := s.resolve(name); err != nil {
		return
	}
	s.events.send(Event{Kind: EventBuilt, Name: name.Familiar(), ImageID: id})
}

// refresh promises or pushes the image if the registry serves or was promised another image under the same reference. If it serves
// this image, refresh reports that, because the tag may have moved back to an earlier build.
func (s *Service) refresh(ctx context.Context, image string, log *slog.Logger) {
	name, err := parseName(image)
	if err != nil {
		return // the image has no tag
	}
	presence, err := s.Lookup(ctx, name)
	if err != nil || !presence.OnHost || presence.Refusal != "" {
		return // the image cannot be pushed
	}
	if presence.Digest != "" {
		about := Event{Name: name.Familiar(), ImageID: digest.Digest(presence.ImageID)}
		s.events.available(about, digest.Digest(presence.Digest))
		return
	}
	if !s.rules.PrePush || presence.Served == "" && !s.isPromised(name) {
		return
	}
	if _, err := s.Promise(ctx, image); err == nil {
		s.prelink(ctx, name)
		return
	}
	if !s.awaitIdle(ctx) {
		return
	}
	start := time.Now()
	result, err := s.Push(ctx, image, nil)
	logPush(ctx, log, image, result, time.Since(start), err)
}

// isPromised reports whether a build of the image was promised that has not been pushed yet. The registry does not serve it under
// its tag until then.
func (s *Service) isPromised(name rewrite.Name) bool {
	target, err := s.resolve(name)
	if err != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.promised {
		earlier, err := parseName(p.Name)
		if err == nil && p.Repository == target.Repository && earlier.Tag() == target.Reference {
			return true
		}
	}
	return false
}
