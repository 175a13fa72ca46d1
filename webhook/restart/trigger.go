package restart

import (
	"context"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"kind-local-registry/internal/rewrite"
	"kind-local-registry/webhook"
)

const (
	// fullCheckInterval is the time between two checks of all workloads. Events cause checks much sooner, so it only matters if one was
	// missed, or if a rule has changed.
	fullCheckInterval = 5 * time.Minute
	// reconnectPause is the time before the event stream is opened again.
	reconnectPause = 2 * time.Second
	// maxQueued is how many changed images wait for the controller.
	maxQueued = 256
)

// ImageEvents reports changes of the host's images.
type ImageEvents interface {
	// ImageEvents calls each with the name of an image when its tag has moved to another build, and when the registry has that build. It
	// calls connected when changes are reported from now on. It returns when ctx ends or the connection is lost.
	ImageEvents(ctx context.Context, connected func(), each func(image string)) error
}

// allImages is the name that stands for all images.
const allImages = ""

// Trigger tells the controller which images may have changed. It is a manager.Runnable that only the leader runs.
type Trigger struct {
	stream  ImageEvents
	pusher  webhook.Pusher
	forget  func(rewrite.Name)
	log     logr.Logger
	changed chan event.TypedGenericEvent[string]
	pushes  chan string
}

// NewTrigger returns a Trigger that listens to the stream. It pushes images with pusher. It calls forget with each changed image, so
// that the admission of the new pods looks the image up again.
func NewTrigger(stream ImageEvents, pusher webhook.Pusher, forget func(rewrite.Name), log logr.Logger) *Trigger {
	return &Trigger{
		stream: stream, pusher: pusher, forget: forget, log: log,
		changed: make(chan event.TypedGenericEvent[string], maxQueued), pushes: make(chan string, maxQueued),
	}
}

// Start listens until ctx ends.
func (t *Trigger) Start(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { t.listen(ctx) })
	running.Go(func() { t.pushAll(ctx) })
	ticker := time.NewTicker(fullCheckInterval)
	defer ticker.Stop()
	for {
		t.send(ctx, allImages)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// listen receives events until ctx ends. All workloads are checked after each connection, because changes before it were not reported.
func (t *Trigger) listen(ctx context.Context) {
	for ctx.Err() == nil {
		err := t.stream.ImageEvents(ctx, func() { t.send(ctx, allImages) }, func(image string) { t.note(ctx, image) })
		if err != nil && ctx.Err() == nil {
			t.log.V(1).Info("lost the pusher's events, connecting again", "error", err.Error())
		}
		select {
		case <-ctx.Done():
		case <-time.After(reconnectPause):
		}
	}
}

// note reports a changed image.
func (t *Trigger) note(ctx context.Context, image string) {
	if name, err := rewrite.Parse(image); err == nil {
		t.forget(name)
		t.send(ctx, name.String())
	}
}

// send reports a changed image, by its normalised reference, to the controller.
func (t *Trigger) send(ctx context.Context, image string) {
	select {
	case <-ctx.Done():
	case t.changed <- event.TypedGenericEvent[string]{Object: image}:
	}
}

// push asks for a push of the image. If too many images wait, the next check of the workload asks again.
func (t *Trigger) push(image string) {
	select {
	case t.pushes <- image:
	default:
	}
}

// pushAll runs the pushes that push asks for, each image once at a time, and reports each image that has been pushed.
func (t *Trigger) pushAll(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	ended, busy := make(chan string), map[string]bool{}
	for {
		select {
		case <-ctx.Done():
			return
		case image := <-ended:
			delete(busy, image)
		case image := <-t.pushes:
			if busy[image] {
				continue
			}
			busy[image] = true
			running.Go(func() {
				t.pushOne(ctx, image)
				select {
				case <-ctx.Done():
				case ended <- image:
				}
			})
		}
	}
}

// pushOne pushes an image. After an error, the next check of the workload asks for the push again.
func (t *Trigger) pushOne(ctx context.Context, image string) {
	if _, err := t.pusher.Push(ctx, image, nil); err != nil {
		if ctx.Err() == nil {
			t.log.Info("image not pushed, its workloads are not restarted yet", "image", image, "error", err.Error())
		}
		return
	}
	t.note(ctx, image)
}
