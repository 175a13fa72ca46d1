package coalesce

import (
	"context"
	"errors"
	"sync"
)

// ErrClosed is returned by Do after Close.
var ErrClosed = errors.New("shutting down")

// Run does the work of a call. Until it returns, it may report progress.
type Run[Result, Progress any] func(ctx context.Context, report func(Progress)) (Result, error)

// Group holds the running calls by key. Its zero value is ready to use. It is safe for concurrent use.
type Group[Result, Progress any] struct {
	mu     sync.Mutex
	byKey  map[string]*call[Result, Progress]
	closed bool
	all    sync.WaitGroup
}

// call is a running Run. Group.mu guards waiters and latest; result and err may be read after done is closed.
type call[Result, Progress any] struct {
	cancel  context.CancelFunc
	waiters map[*waiter[Progress]]struct{}
	latest  Progress

	done   chan struct{}
	result Result
	err    error
}

// waiter is a caller of Do that waits for a call.
type waiter[Progress any] struct{ progress func(Progress) }

// Do waits until the call with the given key or ctx ends. If no such call is running, Do starts one; joined reports whether a
// call was already running. If progress is not nil, Do calls it immediately with the latest progress, and again for each report.
// Calls to progress are never concurrent, and end before Do returns. progress must not block or use the group. The returned error
// is the call's error, ctx's error or ErrClosed.
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

// Close cancels all calls and waits for them to end.
func (g *Group[Result, Progress]) Close() {
	g.mu.Lock()
	g.closed = true
	for _, running := range g.byKey {
		running.cancel()
	}
	g.mu.Unlock()
	g.all.Wait()
}

// join adds w to the call with the given key and reports the latest progress to w. It starts the call if none is running.
func (g *Group[Result, Progress]) join(
	ctx context.Context, key string, w *waiter[Progress], run Run[Result, Progress],
) (awaited *call[Result, Progress], joined bool, err error) {
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
	w.progress(awaited.latest)
	return awaited, joined, nil
}

// start starts a call. The call's context outlives the context of its first caller. g.mu must be locked.
func (g *Group[Result, Progress]) start(
	ctx context.Context, key string, run Run[Result, Progress],
) *call[Result, Progress] {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	started := &call[Result, Progress]{
		cancel: cancel, waiters: map[*waiter[Progress]]struct{}{}, done: make(chan struct{}),
	}
	if g.byKey == nil {
		g.byKey = map[string]*call[Result, Progress]{}
	}
	g.byKey[key] = started
	g.all.Go(func() {
		defer cancel()
		started.result, started.err = run(ctx, func(p Progress) { g.report(started, p) })
		g.mu.Lock()
		defer g.mu.Unlock()
		g.remove(key, started)
		close(started.done)
	})
	return started
}

// report passes progress to all waiters of a call.
func (g *Group[Result, Progress]) report(of *call[Result, Progress], p Progress) {
	g.mu.Lock()
	defer g.mu.Unlock()
	of.latest = p
	for w := range of.waiters {
		w.progress(p)
	}
}

// leave removes w from the call, and cancels the call if no other waiter is left.
func (g *Group[Result, Progress]) leave(key string, left *call[Result, Progress], w *waiter[Progress]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(left.waiters, w)
	if len(left.waiters) == 0 {
		left.cancel()
		g.remove(key, left) // a new caller must not join a cancelled call
	}
}

// remove deletes the call from the map if the map still contains it. g.mu must be locked.
func (g *Group[Result, Progress]) remove(key string, gone *call[Result, Progress]) {
	if g.byKey[key] == gone {
		delete(g.byKey, key)
	}
}
