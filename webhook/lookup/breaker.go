package lookup

import (
	"errors"
	"time"

	"kind-local-registry/internal/rewrite"
)

// errOpen is returned for a lookup while the circuit breaker is open.
var errOpen = errors.New("not looked up: the last lookup was not answered")

// breaker is a circuit breaker. While it is open, lookups fail immediately.
type breaker struct {
	open    bool
	probing bool         // whether the probe is running; it may still run briefly after the breaker closes
	silent  rewrite.Name // the name whose lookup was not answered
	next    rewrite.Name // the name to probe: the last other name requested since, or silent
}

// trip opens the breaker because the lookup of name was not answered, and starts the probe. The caller must hold the mutex.
func (c *Cache) trip(name rewrite.Name) {
	c.breaker.open, c.breaker.silent, c.breaker.next = true, name, name
	if !c.breaker.probing {
		c.breaker.probing = true
		c.probes.Go(c.probe)
	}
}

// probe repeats lookups until one is answered, which closes the breaker.
func (c *Cache) probe() {
	tick := time.NewTicker(retryPause)
	defer tick.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-tick.C:
		}
		name, open := c.nextProbe()
		if !open {
			return
		}
		c.lookUp(c.ctx, name)
	}
}

// nextProbe returns the name to probe and whether the breaker is still open.
func (c *Cache) nextProbe() (name rewrite.Name, open bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.breaker.probing = c.breaker.open
	return c.breaker.next, c.breaker.open
}
