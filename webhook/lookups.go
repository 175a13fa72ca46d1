package webhook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"kind-local-registry/internal/coalesce"
	"kind-local-registry/internal/rewrite"
)

const (
	// lookupTime is how long one lookup may take, and so how long a pod waits for an image that nobody answers for.
	lookupTime = 1500 * time.Millisecond
	// parallelLookups is how many lookups are under way at a time, whatever pods name. Further ones queue.
	parallelLookups = 32
	// answerAge is how long an answer is used again: the pods of one Deployment come within it.
	answerAge = time.Second
	// pause is the time between two tries, and between two probes.
	pause = 200 * time.Millisecond
)

// errPaused is the error of a lookup while the circuit breaker is open.
var errPaused = errors.New("not looked up: the last lookup was not answered")

// Looker looks up which images the host and the registry have.
type Looker interface {
	Lookup(ctx context.Context, name rewrite.Name) (rewrite.Presence, error)
}

// Lookups is a Looker for many admissions at once: it looks a name up once for all who ask for it, and remembers the answer
// for a moment. An error that the other side answers with is an answer too, and concerns that name alone. Only silence, a
// lookup that times out or finds no connection while no other is answered, opens a circuit breaker: from then on lookups
// fail immediately, and a probe in the background looks names up until one is answered. So a pusher that hangs costs one pod
// one short wait, and an image that cannot be looked up costs other images nothing.
type Lookups struct {
	looker  Looker
	metrics *Metrics
	flights coalesce.Group[rewrite.Presence, struct{}]
	slots   *semaphore.Weighted
	ctx     context.Context
	probing sync.WaitGroup

	mu       sync.Mutex
	answers  map[rewrite.Name]answer
	answered time.Time // when the other side was last heard of
	breaker  breaker
}

// answer is what a lookup gave, and until when it holds.
type answer struct {
	presence rewrite.Presence
	err      error
	silent   bool // the other side has not answered
	until    time.Time
}

// breaker is open while lookups are not tried.
type breaker struct {
	open    bool
	probing bool         // the probe runs, which may still be so for a moment after it was closed
	silent  rewrite.Name // the name that was not answered
	wanted  rewrite.Name // the name to probe: the last other one that was wanted since, or silent
}

// NewLookups returns Lookups that ask looker until ctx ends.
func NewLookups(ctx context.Context, looker Looker, metrics *Metrics) *Lookups {
	return &Lookups{
		looker: looker, metrics: metrics, ctx: ctx,
		slots: semaphore.NewWeighted(parallelLookups), answers: map[rewrite.Name]answer{},
	}
}

// Wait waits, after the end of the context, for the lookups that are still under way.
func (l *Lookups) Wait() {
	l.flights.Close()
	l.probing.Wait()
}

// Lookup returns what the other Looker says of name. It waits no longer than ctx, and the lookup ends with the last caller
// that waits for it.
func (l *Lookups) Lookup(ctx context.Context, name rewrite.Name) (rewrite.Presence, error) {
	if known, ok := l.known(name); ok {
		return known.presence, known.err
	}
	if ctx.Err() == nil {
		presence, _, err := l.flights.Do(ctx, name.String(), nil, l.flight(name))
		if ctx.Err() == nil {
			return presence, err
		}
	}
	return rewrite.Presence{}, fmt.Errorf("looking up %s: no answer in time: %w", name, context.Cause(ctx))
}

// flight returns the lookup of name that callers share.
func (l *Lookups) flight(name rewrite.Name) coalesce.Run[rewrite.Presence, struct{}] {
	return func(ctx context.Context, _ func(struct{})) (rewrite.Presence, error) {
		if err := l.slots.Acquire(ctx, 1); err != nil {
			return rewrite.Presence{}, err // every caller has left
		}
		defer l.slots.Release(1)
		if known, ok := l.known(name); ok { // since it queued
			return known.presence, known.err
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(l.ctx, cancel)() //nolint:contextcheck // it ends with the process too
		asked := l.ask(ctx, name)
		return asked.presence, asked.err
	}
}

// known returns the remembered answer for name, if there is one, or errPaused.
func (l *Lookups) known(name rewrite.Name) (answer, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if remembered, ok := l.answers[name]; ok && time.Now().Before(remembered.until) {
		return remembered, true
	}
	if !l.breaker.open {
		return answer{}, false
	}
	if name != l.breaker.silent {
		l.breaker.wanted = name
	}
	return answer{err: errPaused}, true
}

// ask looks name up and remembers what came of it, unless ctx ended before: that says nothing about the other side.
func (l *Lookups) ask(ctx context.Context, name rewrite.Name) answer {
	start := time.Now()
	asked := l.try(ctx, name)
	if ctx.Err() == nil {
		l.metrics.lookedUp(time.Since(start), asked.err)
		l.remember(name, asked, start)
	}
	return asked
}

// try looks name up, for lookupTime at most.
func (l *Lookups) try(ctx context.Context, name rewrite.Name) (asked answer) {
	defer func() {
		if fault := recover(); fault != nil {
			asked = answer{err: fmt.Errorf("looking up %s: panic: %v", name, fault)}
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	presence, err := l.persist(ctx, name)
	refusal := (*rewrite.Refusal)(nil)
	if err == nil || errors.As(err, &refusal) {
		return answer{presence: presence, err: err}
	}
	if ctx.Err() != nil {
		return answer{err: fmt.Errorf("no answer within %s: %w", lookupTime, err), silent: true}
	}
	return answer{err: err, silent: disconnected(err)}
}

// persist looks name up until that is answered or ctx ends. It retries without a connection: a pusher that is replaced, as
// by setup up, is back in a moment.
func (l *Lookups) persist(ctx context.Context, name rewrite.Name) (rewrite.Presence, error) {
	for {
		presence, err := l.looker.Lookup(ctx, name)
		if err == nil || !disconnected(err) || ctx.Err() != nil {
			return presence, err
		}
		select {
		case <-ctx.Done():
			return presence, err
		case <-time.After(pause):
		}
	}
}

// disconnected reports whether the error is that of a connection and not an answer that came over one.
func disconnected(err error) bool {
	refusal, connection := (*rewrite.Refusal)(nil), net.Error(nil) // as which url.Error, syscall.Errno and timeouts count too
	return !errors.As(err, &refusal) &&
		(errors.As(err, &connection) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF))
}

// remember keeps the answer of a lookup that began at start, forgets those that no longer hold, and opens or closes the
// breaker.
func (l *Lookups) remember(name rewrite.Name, asked answer, start time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	maps.DeleteFunc(l.answers, func(_ rewrite.Name, old answer) bool { return !now.Before(old.until) })
	asked.until = now.Add(answerAge)
	l.answers[name] = asked
	if !asked.silent {
		l.answered, l.breaker.open = now, false
		return
	}
	if l.breaker.open || l.answered.After(start) { // another name was answered meanwhile: it is this name's own
		return
	}
	l.breaker.open, l.breaker.silent, l.breaker.wanted = true, name, name
	if !l.breaker.probing {
		l.breaker.probing = true
		l.probing.Go(l.probe)
	}
}

// probe looks names up until the breaker is closed.
func (l *Lookups) probe() {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-l.ctx.Done():
			return
		case <-tick.C:
		}
		name, open := l.nextProbe()
		if !open {
			return
		}
		l.ask(l.ctx, name)
	}
}

// nextProbe returns the name to probe while the breaker is open.
func (l *Lookups) nextProbe() (name rewrite.Name, open bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.breaker.probing = l.breaker.open
	return l.breaker.wanted, l.breaker.open
}
