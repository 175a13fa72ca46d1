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
	// MaxConcurrent limits how many lookups run concurrently. Further lookups are queued.
	MaxConcurrent = 32
	// maxAge is how long an answer is reused. A Deployment's pods are usually created within this time.
	maxAge = time.Second
)

// Looker looks up which images the host and the registry have.
type Looker interface {
	Lookup(ctx context.Context, name rewrite.Name) (rewrite.Presence, error)
}

// Cache is a Looker that many concurrent admissions share. It looks up a name once for all concurrent callers and reuses the
// answer for one second. An error that the pusher returns is an answer too, and affects only the name that was looked up.
//
// If a lookup times out or cannot connect, and no other lookup was answered since it began, the Cache opens a circuit breaker.
// Lookups then fail immediately, while a background probe repeats lookups until one is answered. So an unavailable pusher delays
// only one pod, and only once.
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
	silent   bool // whether the pusher did not answer
	until    time.Time
}

// NewCache returns a Cache that uses looker until ctx ends. It calls observe after each lookup.
func NewCache(ctx context.Context, looker Looker, observe func(took time.Duration, err error)) *Cache {
	return &Cache{
		looker: looker, observe: observe, ctx: ctx,
		slots: semaphore.NewWeighted(MaxConcurrent), answers: map[rewrite.Name]answer{},
	}
}

// Wait waits for the lookups that are still running. Call it after the context has ended.
func (c *Cache) Wait() {
	c.flights.Close()
	c.probes.Wait()
}

// Lookup returns the Looker's answer for name. It stops waiting when ctx ends. A lookup is cancelled when its last caller stops
// waiting.
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

// Forget drops the answer for name, which may be outdated.
func (c *Cache) Forget(name rewrite.Name) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.answers, name)
}

// flight returns the function that looks up name for all concurrent callers.
func (c *Cache) flight(name rewrite.Name) coalesce.Run[rewrite.Presence, struct{}] {
	return func(ctx context.Context, _ func(struct{})) (rewrite.Presence, error) {
		if err := c.slots.Acquire(ctx, 1); err != nil {
			return rewrite.Presence{}, err // every caller has stopped waiting
		}
		defer c.slots.Release(1)
		if known, ok := c.known(name); ok { // it was answered while this lookup was queued
			return known.presence, known.err
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(c.ctx, cancel)() //nolint:contextcheck // it must also end with the process
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

// lookUp looks up name and remembers the answer. If ctx ended first, it remembers nothing, because that does not show whether the
// pusher is available.
func (c *Cache) lookUp(ctx context.Context, name rewrite.Name) answer {
	start := time.Now()
	found := c.try(ctx, name)
	if ctx.Err() == nil {
		c.observe(time.Since(start), found.err)
		c.remember(name, found, start)
	}
	return found
}

// remember stores the answer to a lookup that began at start, drops expired answers, and opens or closes the breaker.
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
	case c.breaker.open || c.lastAnswer.After(start): // already open, or only this name was not answered
	default:
		c.trip(name)
	}
}
