package watch

import (
	"context"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"

	"kind-local-registry/internal/pusher"
	"kind-local-registry/internal/rewrite"
)

// retryDelay is how long Run waits before it connects again, or repeats a lookup.
const retryDelay = 2 * time.Second

// Pusher is a client of the pusher.
type Pusher interface {
	// Events calls each with the events of the host's images until the connection is lost.
	Events(ctx context.Context, connected func(), each func(pusher.Event)) error
	// Lookup reports what the host and the registry have.
	Lookup(ctx context.Context, name rewrite.Name) (rewrite.Presence, error)
	// Close closes idle connections.
	Close()
}

// Options say what to watch.
type Options struct {
	// RegistryHost is the registry's host in rewritten images, such as localhost:5001.
	RegistryHost string
	// Namespace is the namespace whose pods are watched. "" means all namespaces.
	Namespace string
	// ConnectPusher and ConnectCluster return a new client. They are called again after a connection was lost.
	ConnectPusher  func(ctx context.Context) (Pusher, error)
	ConnectCluster func(ctx context.Context) (kubernetes.Interface, error)
}

// Run calls observe with each new state until ctx ends. A state is not changed after the call. The calls are not concurrent, and end
// before Run returns.
func Run(ctx context.Context, options Options, observe func(State)) {
	w := &watcher{options: options, updates: make(chan func(*model)), queue: newQueue()}
	var following sync.WaitGroup
	defer following.Wait()
	following.Go(func() {
		w.connect(ctx, w.followPusher, func(m *model) *Connection { return &m.pusher })
	})
	following.Go(func() {
		w.connect(ctx, w.followCluster, func(m *model) *Connection { return &m.cluster })
	})
	for m := newModel(options.RegistryHost); ; {
		select {
		case <-ctx.Done():
			return
		case update := <-w.updates:
			update(m)
			w.queue.add(m.due())
			observe(m.state())
		}
	}
}

// watcher receives what a model is updated with.
type watcher struct {
	options Options
	updates chan func(*model)
	queue   *queue // of lookups
}

// send updates the model, unless ctx ends first.
func (w *watcher) send(ctx context.Context, update func(*model)) {
	select {
	case w.updates <- update:
	case <-ctx.Done():
	}
}

// connect calls follow again and again until ctx ends. After each call, it records why the connection does not stand.
func (w *watcher) connect(ctx context.Context, follow func(context.Context) error, connection func(*model) *Connection) {
	for {
		err := follow(ctx)
		if ctx.Err() != nil {
			return
		}
		w.send(ctx, func(m *model) { *connection(m) = Connection{Err: err} })
		if !pause(ctx, retryDelay) {
			return
		}
	}
}

// pause waits. It returns false if ctx ends first.
func pause(ctx context.Context, long time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(long):
		return true
	}
}

// followPusher connects to the pusher, follows its events and looks up images until the connection is lost.
func (w *watcher) followPusher(ctx context.Context) error {
	client, err := w.options.ConnectPusher(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	var looking sync.WaitGroup
	defer looking.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	connected := func() {
		w.send(ctx, (*model).reconnected)
		looking.Go(func() { w.lookUp(ctx, client) })
	}
	return client.Events(ctx, connected, func(event pusher.Event) {
		w.send(ctx, func(m *model) { m.happened(event) })
	})
}

// lookUp looks up the images in the queue until ctx ends.
func (w *watcher) lookUp(ctx context.Context, client Pusher) {
	for {
		names := w.queue.take(ctx)
		if names == nil {
			return
		}
		for canonical, original := range names {
			name, err := rewrite.Parse(original)
			if err != nil {
				continue
			}
			found, err := client.Lookup(ctx, name)
			if err != nil && rewrite.ReasonOf(err) == "" {
				w.queue.add(map[string]string{canonical: original})
				pause(ctx, retryDelay)
				continue
			}
			w.send(ctx, func(m *model) { m.lookedUp(canonical, found) })
		}
	}
}

// queue contains the images to look up: their references, by canonical name. It is safe for concurrent use.
type queue struct {
	mu    sync.Mutex
	names map[string]string
	added chan struct{}
}

// newQueue returns an empty queue.
func newQueue() *queue { return &queue{names: map[string]string{}, added: make(chan struct{}, 1)} }

// add adds images.
func (q *queue) add(names map[string]string) {
	if len(names) == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for canonical, original := range names {
		q.names[canonical] = original
	}
	select {
	case q.added <- struct{}{}:
	default:
	}
}

// take waits for images and removes them. It returns nil if ctx ends first.
func (q *queue) take(ctx context.Context) map[string]string {
	select {
	case <-ctx.Done():
		return nil
	case <-q.added:
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	taken := q.names
	q.names = map[string]string{}
	return taken
}
