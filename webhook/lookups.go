package webhook

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"kind-local-registry/webhook/rewrite"
)

const (
	// lookupTime is how long one look-up may take, and so how long a pod waits for an image that nobody answers for.
	lookupTime = 1500 * time.Millisecond
	// answerAge is how long an answer is used again: the pods of one Deployment come within it.
	answerAge = time.Second
	// slowFailure is how long a failed look-up took for the next ones not to be tried.
	slowFailure = 250 * time.Millisecond
	// pause is how long it is, after a failure, until somebody is asked again.
	pause = 200 * time.Millisecond
)

// errPaused is what a look-up fails with after another one failed slowly, until one succeeds.
var errPaused = errors.New("not asked: a look-up failed slowly a moment ago")

// Looker tells what the host and the registry hold of a name, a normalised reference.
type Looker interface {
	Lookup(ctx context.Context, name string) (rewrite.Presence, error)
}

// Lookups is a Looker for many admissions at once: it asks another one, once for all who ask of the same name, and
// remembers the answer for a moment. A failure that took its time opens a circuit breaker: from then on look-ups fail at
// once, while one is tried again and again beside them, until it is answered. So a pusher that hangs costs one pod one
// short wait, whenever it comes back.
type Lookups struct {
	looker  Looker
	metrics *Metrics
	flights singleflight.Group
	ctx     context.Context // what is asked outlives whoever asked first
	probing sync.WaitGroup

	mu      sync.Mutex
	answers map[string]answer
	open    bool // the breaker
}

// answer is what a look-up gave, and until when it holds.
type answer struct {
	presence rewrite.Presence
	err      error
	until    time.Time
}

// NewLookups returns Lookups that ask looker until ctx ends.
func NewLookups(ctx context.Context, looker Looker, metrics *Metrics) *Lookups {
	return &Lookups{looker: looker, metrics: metrics, ctx: ctx, answers: map[string]answer{}}
}

// Wait waits, after the end of the context, for what is still being tried.
func (l *Lookups) Wait() { l.probing.Wait() }

// Lookup returns what the other Looker says of name. It waits no longer than ctx, and never longer than lookupTime.
func (l *Lookups) Lookup(ctx context.Context, name string) (rewrite.Presence, error) {
	if known, ok := l.known(name); ok {
		return known.presence, known.err
	}
	flight := l.flights.DoChan(name, func() (any, error) { //nolint:contextcheck // it outlives ctx
		asked := l.ask(name)
		return asked.presence, asked.err
	})
	select {
	case result := <-flight:
		presence, _ := result.Val.(rewrite.Presence)
		return presence, result.Err
	case <-ctx.Done():
		return rewrite.Presence{}, fmt.Errorf("no answer about %s within %s: %w", name, lookupTime, context.Cause(ctx))
	}
}

// known returns the remembered answer for name, if there is one, or errPaused.
func (l *Lookups) known(name string) (answer, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if remembered, ok := l.answers[name]; ok && time.Now().Before(remembered.until) {
		return remembered, true
	}
	if l.open {
		return answer{err: errPaused}, true
	}
	return answer{}, false
}

// ask looks name up and remembers what came of it.
func (l *Lookups) ask(name string) (asked answer) {
	start := time.Now()
	defer func() {
		if fault := recover(); fault != nil {
			asked = answer{err: fmt.Errorf("looking up %s: panic: %v", name, fault)}
		}
		took := time.Since(start)
		l.metrics.lookedUp(took, asked.err)
		l.remember(name, asked, took)
	}()
	ctx, cancel := context.WithTimeout(l.ctx, lookupTime)
	defer cancel()
	presence, err := l.persist(ctx, name)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("no answer within %s: %w", lookupTime, err)
	}
	return answer{presence: presence, err: err}
}

// persist looks name up until that is answered, refused, or ctx ends: whoever is replaced, as by setup up, is back in a moment.
func (l *Lookups) persist(ctx context.Context, name string) (rewrite.Presence, error) {
	for {
		presence, err := l.looker.Lookup(ctx, name)
		refusal := (*rewrite.Refusal)(nil)
		if err == nil || errors.As(err, &refusal) || ctx.Err() != nil {
			return presence, err
		}
		select {
		case <-ctx.Done():
			return presence, err
		case <-time.After(pause):
		}
	}
}

// remember keeps an answer that took the given time to come, forgets those that no longer hold, and opens or closes the
// breaker.
func (l *Lookups) remember(name string, asked answer, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	maps.DeleteFunc(l.answers, func(_ string, old answer) bool { return !now.Before(old.until) })
	asked.until = now.Add(answerAge)
	l.answers[name] = asked
	slow := asked.err != nil && took >= slowFailure
	if slow && !l.open && l.ctx.Err() == nil {
		l.probing.Go(func() { l.probe(name) })
	}
	l.open = slow
}

// probe asks about name until that is answered, which closes the breaker.
func (l *Lookups) probe(name string) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-l.ctx.Done():
			return
		case <-tick.C:
		}
		if asked := l.ask(name); asked.err == nil || !l.paused() {
			return
		}
	}
}

// paused says whether the breaker is open.
func (l *Lookups) paused() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open
}
