package lookup

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"kind-local-registry/internal/coalesce"
	"kind-local-registry/internal/rewrite"
)

const (
	// MaxConcurrent is how many lookups run concurrently. Further ones queue.
	MaxConcurrent = 32
	// maxAge is how long an answer is reused: the pods of one Deployment are created within it.
	maxAge = time.Second
)

// Looker looks up which images the host and the registry have.
type Looker interface {
	Lookup(ctx context.Context, name rewrite.Name) (rewrite.Presence, error)
}

// Cache is a Looker that many admissions share. It looks a name up once for all concurrent callers and reuses the answer for
// a second. An error in the answer is an answer too, and concerns that name only.
//
// A lookup that times out, or finds no connection while no other is answered, opens a circuit breaker: lookups then fail
// immediately, and a probe in the background looks names up until one is answered. So an unavailable pusher delays one pod,
// once.
type Cache struct {
	looker  Looker
	observe func(took time.Duration, err error)
	flights coalesce.Group[rewrite.Presence, struct{}]
	slots   *semaphore.Weighted
	ctx     context.Context
	probes  sync.WaitGroup

	mu         sync.Mutex
	answers    map[rewrite.Name]answer
	lastAnswer time.Time
	breaker    breaker
}

// answer is the result of a lookup.
type answer struct {
	presence rewrite.Presence
	err      error
	silent   bool // the other side did not answer
	until    time.Time
}

// NewCache returns a Cache that asks looker until ctx ends. It calls observe after each lookup.
func NewCache(ctx context.Context, looker Looker, observe func(took time.Duration, err error)) *Cache {
	return &Cache{
		looker: looker, observe: observe, ctx: ctx,
		slots: semaphore.NewWeighted(MaxConcurrent), answers: map[rewrite.Name]answer{},
	}
}

// Wait waits, after the end of the context, for the lookups that still run.
func (c *Cache) Wait() {
	c.flights.Close()
	c.probes.Wait()
}

// Lookup returns the Looker's answer for name. It waits until ctx ends at most, and the lookup ends with its last caller.
func (c *Cache) Lookup(ctx context.Context, name rewrite.Name) (rewrite.Presence, error) {
	if known, ok := c.known(name); ok {
		return known.presence, known.err
	}
	if ctx.Err() == nil {
		presence, _, err := c.flights.Do(ctx, name.String(), nil, c.flight(name))
		if ctx.Err() == nil {
			return presence, err
		}
	}
	return rewrite.Presence{}, fmt.Errorf("looking up %s: no answer in time: %w", name, context.Cause(ctx))
}

// flight returns the lookup that concurrent callers share.
func (c *Cache) flight(name rewrite.Name) coalesce.Run[rewrite.Presence, struct{}] {
	return func(ctx context.Context, _ func(struct{})) (rewrite.Presence, error) {
		if err := c.slots.Acquire(ctx, 1); err != nil {
			return rewrite.Presence{}, err // every caller has left
		}
		defer c.slots.Release(1)
		if known, ok := c.known(name); ok { // since it queued
			return known.presence, known.err
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(c.ctx, cancel)() //nolint:contextcheck // it ends with the process too
		found := c.lookUp(ctx, name)
		return found.presence, found.err
	}
}

// known returns the remembered answer for name, or errOpen. It returns false if name must be looked up.
func (c *Cache) known(name rewrite.Name) (answer, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if remembered, ok := c.answers[name]; ok && time.Now().Before(remembered.until) {
		return remembered, true
	}
	if !c.breaker.open {
		return answer{}, false
	}
	if name != c.breaker.silent {
		c.breaker.next = name
	}
	return answer{err: errOpen}, true
}

// lookUp looks name up and remembers the answer, unless ctx ended before: that says nothing about the other side.
func (c *Cache) lookUp(ctx context.Context, name rewrite.Name) answer {
	start := time.Now()
	found := c.try(ctx, name)
	if ctx.Err() == nil {
		c.observe(time.Since(start), found.err)
		c.remember(name, found, start)
	}
	return found
}

// remember keeps the answer of a lookup that began at start, drops expired answers, and opens or closes the breaker.
func (c *Cache) remember(name rewrite.Name, found answer, start time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	maps.DeleteFunc(c.answers, func(_ rewrite.Name, old answer) bool { return !now.Before(old.until) })
	found.until = now.Add(maxAge)
	c.answers[name] = found
	switch {
	case !found.silent:
		c.lastAnswer, c.breaker.open = now, false
	case c.breaker.open || c.lastAnswer.After(start): // another name was answered meanwhile: only this one is silent
	default:
		c.trip(name)
	}
}
