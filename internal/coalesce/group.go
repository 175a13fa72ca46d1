package coalesce

import (
	"context"
	"errors"
	"sync"
)

// ErrClosed is the error of Do after Close.
var ErrClosed = errors.New("shutting down")

// Run is the work of a flight. It may report how far it is, until it returns.
type Run[Result, Progress any] func(ctx context.Context, report func(Progress)) (Result, error)

// Group is the flights under way, by key. Its zero value has none. It may be used by several goroutines at once.
type Group[Result, Progress any] struct {
	mu     sync.Mutex
	byKey  map[string]*flight[Result, Progress]
	closed bool
	all    sync.WaitGroup
}

// flight is work under way. Its waiters and now are guarded by Group.mu; result and err may be read after done.
type flight[Result, Progress any] struct {
	cancel  context.CancelFunc
	waiters map[*waiter[Progress]]struct{}
	now     Progress

	done   chan struct{}
	result Result
	err    error
}

// waiter is a caller that waits for a flight.
type waiter[Progress any] struct{ progress func(Progress) }

// Do waits for the flight with that key, which it starts where there is none, or until ctx ends. joined says that the flight
// was there before. progress, where it is not nil, is told at once how far the flight is and then whatever the flight
// reports, never twice at a time and never after Do has returned; it must not block, and not call the group. Do fails with
// the flight's error, that of ctx, or ErrClosed.
func (g *Group[Result, Progress]) Do(
	ctx context.Context, key string, progress func(Progress), run Run[Result, Progress],
) (result Result, joined bool, err error) {
	if progress == nil {
		progress = func(Progress) {}
	}
	w := &waiter[Progress]{progress: progress}
	awaited, joined, err := g.join(ctx, key, w, run)
	if err != nil {
		return result, joined, err
	}
	defer g.leave(key, awaited, w)
	select {
	case <-awaited.done:
		return awaited.result, joined, awaited.err
	case <-ctx.Done():
		return result, joined, ctx.Err()
	}
}

// Close ends all flights and waits for them.
func (g *Group[Result, Progress]) Close() {
	g.mu.Lock()
	g.closed = true
	for _, running := range g.byKey {
		running.cancel()
	}
	g.mu.Unlock()
	g.all.Wait()
}

// join adds w to the flight with that key, which may have to be started, and tells it how far the flight is.
func (g *Group[Result, Progress]) join(
	ctx context.Context, key string, w *waiter[Progress], run Run[Result, Progress],
) (awaited *flight[Result, Progress], joined bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil, false, ErrClosed
	}
	awaited, joined = g.byKey[key]
	if !joined {
		awaited = g.start(ctx, key, run)
	}
	awaited.waiters[w] = struct{}{}
	w.progress(awaited.now)
	return awaited, joined, nil
}

// start starts a flight, whose context outlives that of the caller who starts it. g.mu is held.
func (g *Group[Result, Progress]) start(
	ctx context.Context, key string, run Run[Result, Progress],
) *flight[Result, Progress] {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	started := &flight[Result, Progress]{
		cancel: cancel, waiters: map[*waiter[Progress]]struct{}{}, done: make(chan struct{}),
	}
	if g.byKey == nil {
		g.byKey = map[string]*flight[Result, Progress]{}
	}
	g.byKey[key] = started
	g.all.Go(func() {
		defer cancel()
		started.result, started.err = run(ctx, func(p Progress) { g.report(started, p) })
		g.mu.Lock()
		defer g.mu.Unlock()
		g.forget(key, started)
		close(started.done)
	})
	return started
}

// report tells all waiters of a flight how far it is.
func (g *Group[Result, Progress]) report(of *flight[Result, Progress], p Progress) {
	g.mu.Lock()
	defer g.mu.Unlock()
	of.now = p
	for w := range of.waiters {
		w.progress(p)
	}
}

// leave takes w from the flight, and ends the flight if it was the last.
func (g *Group[Result, Progress]) leave(key string, left *flight[Result, Progress], w *waiter[Progress]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(left.waiters, w)
	if len(left.waiters) == 0 {
		left.cancel()
		g.forget(key, left) // who comes now wants a flight that is not ending
	}
}

// forget takes the flight from the map, where it is still there. g.mu is held.
func (g *Group[Result, Progress]) forget(key string, gone *flight[Result, Progress]) {
	if g.byKey[key] == gone {
		delete(g.byKey, key)
	}
}
