package docker

import (
	"context"
	"errors"
	"sync"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"
)

// parallelReads is how many blobs are read at a time. More than that are no faster on two cores, and slower on a disk
// that turns.
const parallelReads = 3

// yieldError is an error of yield on its way to the caller of Blobs.
type yieldError struct{ err error }

func (e *yieldError) Error() string { return e.err.Error() }

// asYielded marks an error as that of yield.
func asYielded(err error) error {
	if err == nil {
		return nil
	}
	return &yieldError{err}
}

// readParallel calls read for each blob, for several at a time. An error that read has from yield ends it; any other is
// returned at the end with the rest of its kind.
func readParallel(ctx context.Context, want []digest.Digest, read func(digest.Digest) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelReads)
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
