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
	// pause is how long nothing is looked up after a slow failure.
	pause = 5 * time.Second
)

// errPaused is what a look-up fails with shortly after another one failed slowly.
var errPaused = errors.New("not asked: a look-up failed slowly a moment ago")

// Looker tells what the host and the registry hold of a name, a normalised reference.
type Looker interface {
	Lookup(ctx context.Context, name string) (rewrite.Presence, error)
}

// Lookups is a Looker for many admissions at once: it asks another one, once for all who ask of the same name, remembers
// the answer for a moment, and asks nothing for some seconds after a failure that took its time. So a pusher that hangs
// costs one pod one short wait.
type Lookups struct {
	looker  Looker
	flights singleflight.Group

	mu      sync.Mutex
	answers map[string]answer
	resume  time.Time // no look-up before it
}

// answer is what a look-up gave, and until when it holds.
type answer struct {
	presence rewrite.Presence
	err      error
	until    time.Time
}

// NewLookups returns Lookups that ask looker.
func NewLookups(looker Looker) *Lookups {
	return &Lookups{looker: looker, answers: map[string]answer{}}
}

// Lookup returns what the other Looker says of name. It waits no longer than ctx, and never longer than lookupTime.
func (l *Lookups) Lookup(ctx context.Context, name string) (rewrite.Presence, error) {
	if known, ok := l.known(name); ok {
		return known.presence, known.err
	}
	// The flight outlives whoever asked first: others wait for it too.
	flight := l.flights.DoChan(name, func() (any, error) {
		asked := l.ask(context.WithoutCancel(ctx), name)
		return asked.presence, asked.err
	})
	select {
	case result := <-flight:
		presence, _ := result.Val.(rewrite.Presence)
		return presence, result.Err
	case <-ctx.Done():
		return rewrite.Presence{}, fmt.Errorf("looking up %s: %w", name, context.Cause(ctx))
	}
}

// known returns the remembered answer for name, if there is one, or errPaused.
func (l *Lookups) known(name string) (answer, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if remembered, ok := l.answers[name]; ok && now.Before(remembered.until) {
		return remembered, true
	}
	if now.Before(l.resume) {
		return answer{err: errPaused}, true
	}
	return answer{}, false
}

// ask looks name up and remembers what came of it.
func (l *Lookups) ask(ctx context.Context, name string) (asked answer) {
	start := time.Now()
	defer func() {
		if fault := recover(); fault != nil {
			asked = answer{err: fmt.Errorf("looking up %s: panic: %v", name, fault)}
		}
		l.remember(name, asked, time.Since(start))
	}()
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	presence, err := l.looker.Lookup(ctx, name)
	return answer{presence: presence, err: err}
}

// remember keeps an answer that took the given time to come, and forgets those that no longer hold.
func (l *Lookups) remember(name string, asked answer, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if asked.err != nil && took >= slowFailure {
		l.resume = now.Add(pause)
	}
	maps.DeleteFunc(l.answers, func(_ string, old answer) bool { return !now.Before(old.until) })
	asked.until = now.Add(answerAge)
	l.answers[name] = asked
}
