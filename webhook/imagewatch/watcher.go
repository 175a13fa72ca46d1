package imagewatch

import (
	"context"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"kind-local-registry/internal/rewrite"
)

const (
	// fullInterval is the time between two reports of all images. It only matters if a change was missed, or if a rule has changed.
	fullInterval = 5 * time.Minute
	// reconnectPause is the time before the event stream is opened again.
	reconnectPause = 2 * time.Second
	// maxQueued is how many changed images wait for a controller.
	maxQueued = 256
)

// All is the name that stands for all images.
const All = ""

// Events reports changes of the host's images.
type Events interface {
	// ImageEvents calls each with the name of an image when its tag has moved to another build, and when the registry has that build. It
	// calls connected when changes are reported from now on. It returns when ctx ends or the connection is lost.
	ImageEvents(ctx context.Context, connected func(), each func(image string)) error
}

// Watcher reports changed images to controllers. It is a manager.Runnable that only the leader runs.
type Watcher struct {
	events   Events
	forget   func(rewrite.Name)
	log      logr.Logger
	channels []chan event.TypedGenericEvent[string]
}

// New returns a Watcher of the events. It calls forget with each changed image, so that the image is looked up again.
func New(events Events, forget func(rewrite.Name), log logr.Logger) *Watcher {
	return &Watcher{events: events, forget: forget, log: log}
}

// Channel returns a new channel with the changed images: their normalised references, or All. It must be called before Start.
func (w *Watcher) Channel() <-chan event.TypedGenericEvent[string] {
	channel := make(chan event.TypedGenericEvent[string], maxQueued)
	w.channels = append(w.channels, channel)
	return channel
}

// Start reports changes until ctx ends. It reports all images after each connection, because changes before it were missed.
func (w *Watcher) Start(ctx context.Context) error {
	var listening sync.WaitGroup
	defer listening.Wait()
	listening.Go(func() { w.listen(ctx) })
	ticker := time.NewTicker(fullInterval)
	defer ticker.Stop()
	for {
		w.send(ctx, All)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// listen receives events until ctx ends.
func (w *Watcher) listen(ctx context.Context) {
	for ctx.Err() == nil {
		err := w.events.ImageEvents(ctx, func() { w.send(ctx, All) }, func(image string) { w.Report(ctx, image) })
		if err != nil && ctx.Err() == nil {
			w.log.V(1).Info("lost the pusher's events, connecting again", "error", err.Error())
		}
		select {
		case <-ctx.Done():
		case <-time.After(reconnectPause):
		}
	}
}

// Report reports a changed image to all controllers.
func (w *Watcher) Report(ctx context.Context, image string) {
	if name, err := rewrite.Parse(image); err == nil {
		w.forget(name)
		w.send(ctx, name.String())
	}
}

// send sends an image to all controllers.
func (w *Watcher) send(ctx context.Context, image string) {
	for _, channel := range w.channels {
		select {
		case <-ctx.Done():
		case channel <- event.TypedGenericEvent[string]{Object: image}:
		}
	}
}
