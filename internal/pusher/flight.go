package pusher

import (
	"context"
	"errors"
	"sync"

	"kind-local-registry/internal/push"
)

// errClosed is the error of a push after Service.Close.
var errClosed = errors.New("the pusher is shutting down")

// flights are the pushes under way. Other than golang.org/x/sync/singleflight it lets a caller leave without ending the
// push for the others, and ends it when nobody is left.
type flights struct {
	mu     sync.Mutex
	byKey  map[string]*flight
	closed bool
	all    sync.WaitGroup
}

// flight is one push under way. Its waiters and now are guarded by flights.mu; result and err may be read after done.
type flight struct {
	cancel  context.CancelFunc
	waiters map[*waiter]struct{}
	now     push.Progress

	done   chan struct{}
	result push.Result
	err    error
}

// waiter is a caller that waits for a flight.
type waiter struct{ progress func(push.Progress) }

// run is the work of a flight.
type run func(ctx context.Context, report func(push.Progress)) (push.Result, error)

// do waits for the flight with that key, which it starts where there is none, or until ctx ends.
func (f *flights) do(ctx context.Context, key string, progress func(push.Progress), run run) (push.Result, error) {
	if progress == nil {
		progress = func(push.Progress) {}
	}
	w := &waiter{progress: progress}
	joined, err := f.join(ctx, key, w, run)
	if err != nil {
		return push.Result{}, err
	}
	defer f.leave(key, joined, w)
	select {
	case <-joined.done:
		return joined.result, joined.err
	case <-ctx.Done():
		return push.Result{}, ctx.Err()
	}
}

// join adds w to the flight with that key and tells it how far the flight is.
func (f *flights) join(ctx context.Context, key string, w *waiter, run run) (*flight, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, errClosed
	}
	joined, found := f.byKey[key]
	if !found {
		joined = f.start(ctx, key, run)
	}
	joined.waiters[w] = struct{}{}
	w.progress(joined.now)
	return joined, nil
}

// start starts a flight, whose context outlives that of the caller who starts it. f.mu is held.
func (f *flights) start(ctx context.Context, key string, run run) *flight {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	started := &flight{cancel: cancel, waiters: map[*waiter]struct{}{}, done: make(chan struct{})}
	f.byKey[key] = started
	f.all.Go(func() {
		defer cancel()
		started.result, started.err = run(ctx, func(p push.Progress) { f.report(started, p) })
		f.mu.Lock()
		defer f.mu.Unlock()
		f.forget(key, started)
		close(started.done)
	})
	return started
}

// report tells all waiters of a flight how far it is.
func (f *flights) report(of *flight, p push.Progress) {
	f.mu.Lock()
	defer f.mu.Unlock()
	of.now = p
	for w := range of.waiters {
		w.progress(p)
	}
}

// leave takes w from the flight, and ends the flight if it was the last.
func (f *flights) leave(key string, left *flight, w *waiter) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(left.waiters, w)
	if len(left.waiters) == 0 {
		left.cancel()
		f.forget(key, left) // who comes now wants a flight that is not ending
	}
}

// forget takes the flight from the map, where it is still there. f.mu is held.
func (f *flights) forget(key string, gone *flight) {
	if f.byKey[key] == gone {
		delete(f.byKey, key)
	}
}

// close ends all flights and waits for them.
func (f *flights) close() {
	f.mu.Lock()
	f.closed = true
	for _, running := range f.byKey {
		running.cancel()
	}
	f.mu.Unlock()
	f.all.Wait()
}
