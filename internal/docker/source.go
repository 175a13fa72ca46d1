package docker

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"
)

// Source gives the blobs of one image.
type Source interface {
	// Name is what logs and metrics call the source: overlay2, containerd or save.
	Name() string
	// Blobs calls yield at most once for each blob in want, in any order, perhaps from several goroutines; it returns after
	// the last of them has ended. An error of yield ends it, and is returned as it is. A blob that the source cannot give is
	// not yielded: it goes on with the others, and its error says at the end which and why. The reader gives size bytes, or
	// as many as there are where size is -1; they are not verified, and the reader is of no use after yield has returned.
	Blobs(ctx context.Context, want []digest.Digest, yield func(d digest.Digest, size int64, blob io.Reader) error) error
}

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
			if yielded := (*yieldError)(nil); errors.As(err, &yielded) {
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
