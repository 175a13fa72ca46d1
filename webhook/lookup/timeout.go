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
	// Timeout limits how long one lookup takes. It is also how long a pod waits for an unavailable pusher.
	Timeout = 1500 * time.Millisecond
	// retryPause is the time between two attempts, and between two probes.
	retryPause = 200 * time.Millisecond
)

// try looks up name for at most Timeout.
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

// retry looks up name until it gets an answer or ctx ends. It retries if it cannot connect, because a pusher that is just being
// replaced will soon be available again.
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

// disconnected reports whether the connection failed, as opposed to the pusher answering with an error.
func disconnected(err error) bool {
	_, connection := errors.AsType[net.Error](err) // such as a url.Error, a syscall.Errno or a timeout
	return rewrite.ReasonOf(err) == "" && (connection || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF))
}
