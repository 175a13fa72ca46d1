package docker

import (
	"context"
	"errors"
	"sync"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"
)

// maxConcurrentReads is how many blobs are read concurrently. A higher limit is not faster on two cores, and is slower on a
// rotating disk.
const maxConcurrentReads = 3

// yieldError wraps an error that yield returned. Blobs unwraps the error before returning it.
type yieldError struct{ err error }

func (e *yieldError) Error() string { return e.err.Error() }

// asYieldError wraps an error that yield returned in a yieldError. It returns nil for nil.
func asYieldError(err error) error {
	if err == nil {
		return nil
	}
	return &yieldError{err}
}

// readConcurrently calls read for each blob, with several calls at a time. It stops at the first error from yield. All other
// errors are joined and returned at the end.
func readConcurrently(ctx context.Context, want []digest.Digest, read func(digest.Digest) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxConcurrentReads)
	var mu sync.Mutex
	var faults []error
	for _, d := range want {
		group.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			err := read(d)
			if yielded, ok := errors.AsType[*yieldError](err); ok {
				return yielded.err
			}
			mu.Lock()
			defer mu.Unlock()
			faults = append(faults, err)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return errors.Join(faults...)
}
