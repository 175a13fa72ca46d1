package lookup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"kind-local-registry/internal/rewrite"
)

const (
	// Timeout is how long one lookup takes at most, and so how long a pod waits for an unavailable pusher.
	Timeout = 1500 * time.Millisecond
	// retryPause is the time between two attempts, and between two probes.
	retryPause = 200 * time.Millisecond
)

// try looks name up, for Timeout at most.
func (c *Cache) try(ctx context.Context, name rewrite.Name) (found answer) {
	defer func() {
		if fault := recover(); fault != nil {
			found = answer{err: fmt.Errorf("looking up %s: panic: %v", name, fault)}
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	presence, err := c.retry(ctx, name)
	if err == nil || rewrite.ReasonOf(err) != "" {
		return answer{presence: presence, err: err}
	}
	if ctx.Err() != nil {
		return answer{err: fmt.Errorf("no answer within %s: %w", Timeout, err), silent: true}
	}
	return answer{err: err, silent: disconnected(err)}
}

// retry looks name up until it gets an answer or ctx ends. It retries without a connection: a pusher that setup up replaces
// is back in a moment.
func (c *Cache) retry(ctx context.Context, name rewrite.Name) (rewrite.Presence, error) {
	for {
		presence, err := c.looker.Lookup(ctx, name)
		if err == nil || !disconnected(err) || ctx.Err() != nil {
			return presence, err
		}
		select {
		case <-ctx.Done():
			return presence, err
		case <-time.After(retryPause):
		}
	}
}

// disconnected reports whether the error is one of the connection, and not an answer that came over it.
func disconnected(err error) bool {
	_, connection := errors.AsType[net.Error](err) // as url.Error, syscall.Errno and timeouts are
	return rewrite.ReasonOf(err) == "" && (connection || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF))
}
