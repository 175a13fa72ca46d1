package pusher

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/coalesce"
	"kind-local-registry/internal/docker"
	"kind-local-registry/internal/push"
	"kind-local-registry/internal/rewrite"
)

// EventKind says what has happened to an image.
type EventKind string

// These are the kinds of events.
const (
	// EventBuilt means that a tag of the daemon was set. Usually it has moved to another build.
	EventBuilt EventKind = "built"
	// EventPushing reports the progress of a push. The first event of a push has no bytes; the push may be waiting for others.
	EventPushing EventKind = "pushing"
	// EventAvailable means that nodes can pull this build: the registry has it, or it was promised to the registry. A build may be
	// reported more than once, for example when it is promised and when it is pushed.
	EventAvailable EventKind = "available"
	// EventFailed means that a push failed, or was cancelled because its last caller has left.
	EventFailed EventKind = "failed"
)

// Event reports a change of one of the host's images. There are no events for images that the rules exclude.
type Event struct {
	Kind EventKind `json:"kind"`
	// Name is the image's reference on the host, in the short form that Docker shows, such as example/hello:local.
	Name string `json:"name"`
	// ImageID identifies the build. It is "" if the daemon did not report it.
	ImageID digest.Digest `json:"imageID,omitempty"`
	// Digest is the digest of the image manifest. It is set if Kind is EventAvailable.
	Digest digest.Digest `json:"digest,omitempty"`
	// Progress is set if Kind is EventPushing.
	Progress *push.Progress `json:"progress,omitempty"`
	// Error is set if Kind is EventFailed.
	Error string `json:"error,omitempty"`
	// Time is when the event occurred.
	Time time.Time `json:"time"`
}

// ErrTooSlow is the error of Events if the consumer does not keep up. It has missed events.
var ErrTooSlow = errors.New("the consumer of the events is too slow")

// maxUnread is how many events wait for a consumer. Events of the kind EventPushing are dropped when half as many are waiting.
const maxUnread = 1024

// Events calls each with the events of the host's images until ctx ends. A slow consumer misses events of the kind EventPushing. If
// it cannot keep up with the others, the error is ErrTooSlow. The error is never nil.
func (s *Service) Events(ctx context.Context, each func(Event)) error {
	return s.consume(ctx, s.events.subscribe(), each)
}

// consume calls each with the subscriber's events, and unsubscribes it in the end.
func (s *Service) consume(ctx context.Context, feed *subscriber, each func(Event)) error {
	defer s.events.unsubscribe(feed)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.ctx.Done():
			return coalesce.ErrClosed
		case <-feed.lost:
			return ErrTooSlow
		case event := <-feed.events:
			each(event)
		}
	}
}

// broadcast sends events to its subscribers. It never blocks. Its zero value is ready to use, and it is safe for concurrent use.
type broadcast struct {
	mu          sync.Mutex
	subscribers map[*subscriber]struct{}
}

// subscriber receives events. lost is closed when it has missed an event.
type subscriber struct {
	events chan Event
	lost   chan struct{}
}

// subscribe returns a new subscriber. The caller must call unsubscribe.
func (b *broadcast) subscribe() *subscriber {
	b.mu.Lock()
	defer b.mu.Unlock()
	added := &subscriber{events: make(chan Event, maxUnread), lost: make(chan struct{})}
	if b.subscribers == nil {
		b.subscribers = map[*subscriber]struct{}{}
	}
	b.subscribers[added] = struct{}{}
	return added
}

// unsubscribe removes a subscriber.
func (b *broadcast) unsubscribe(gone *subscriber) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.subscribers, gone)
}

// send sends the event, with the current time, to all subscribers. It removes a subscriber that is too slow.
func (b *broadcast) send(event Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	event.Time = time.Now().UTC()
	for to := range b.subscribers {
		if event.Kind == EventPushing && len(to.events) >= maxUnread/2 {
			continue
		}
		select {
		case to.events <- event:
		default:
			close(to.lost)
			delete(b.subscribers, to)
		}
	}
}

// pushing sends the progress of a push.
func (b *broadcast) pushing(about Event, progress push.Progress) {
	about.Kind, about.Progress = EventPushing, &progress
	b.send(about)
}

// available sends that nodes can pull the build.
func (b *broadcast) available(about Event, d digest.Digest) {
	about.Kind, about.Digest = EventAvailable, d
	b.send(about)
}

// pushed sends the result of a push.
func (b *broadcast) pushed(about Event, d digest.Digest, err error) {
	if err == nil {
		b.available(about, d)
		return
	}
	about.Kind, about.Error = EventFailed, err.Error()
	if errors.Is(err, context.Canceled) {
		about.Error = "the push was cancelled"
	}
	b.send(about)
}

// eventAbout returns an event about the image without a kind. original is the reference by which the image was requested.
func eventAbout(original string, image docker.Image) Event {
	for _, known := range []string{image.Name, original} {
		// The name is a digest if the image was found by its ID.
		if name, err := rewrite.Parse(known); err == nil && digest.Digest(known).Validate() != nil {
			return Event{Name: name.Familiar(), ImageID: image.ID}
		}
	}
	return Event{Name: original, ImageID: image.ID}
}
