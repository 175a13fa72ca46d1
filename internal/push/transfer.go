package push

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"
)

// transfer is one push. What an attempt has brought into the registry, the next one finds there.
type transfer struct {
	registry *Registry
	target   Target
	contents Contents
	fallback func(string, error)
	own      map[digest.Digest]int64 // the sizes that the image's own manifest gives; nil where one is made
	meter    *meter

	mu     sync.Mutex
	sizes  map[digest.Digest]int64    // of the blobs that the registry has
	opened map[digest.Digest]*url.URL // uploads that were opened by asking for a mount
	result Result
}

// try moves what is missing, and then the manifest, so that no image is visible before it is complete.
func (t *transfer) try(ctx context.Context) error {
	if err := t.ask(ctx); err != nil {
		return err
	}
	missing := t.missing()
	if len(missing) > 0 {
		if err := t.mount(ctx, missing); err != nil {
			return err
		}
		if err := t.move(ctx); err != nil {
			return err
		}
	}
	t.meter.finish()
	d, err := t.registry.putManifest(ctx, t.target, t.contents, t.sizes)
	if err != nil {
		return err
	}
	t.result.Digest = d
	return nil
}

// ask learns which blobs the registry has. One of another size than the manifest says is none.
func (t *transfer) ask(ctx context.Context) error {
	sizes, err := t.registry.sizes(ctx, t.target.Repository, t.contents.blobs())
	if err != nil {
		return err
	}
	maps.DeleteFunc(sizes, func(d digest.Digest, size int64) bool { return t.own != nil && size != t.own[d] })
	first := t.sizes == nil
	t.sizes, t.opened = sizes, map[digest.Digest]*url.URL{}
	if first {
		for _, size := range sizes {
			t.found(size)
		}
	}
	return nil
}

// found counts a blob that need not be moved.
func (t *transfer) found(size int64) {
	t.result.Present++
	t.result.PresentBytes += size
	t.meter.expectLess(size)
}

// missing returns the blobs that the registry has not.
func (t *transfer) missing() []digest.Digest {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.DeleteFunc(t.contents.blobs(), func(d digest.Digest) bool { _, has := t.sizes[d]; return has })
}

// mount takes the missing blobs from the registry's other repositories, in parallel. What is not there has an upload
// opened by that.
func (t *transfer) mount(ctx context.Context, missing []digest.Digest) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelHeads)
	for _, d := range missing {
		group.Go(func() error {
			size, session, err := t.registry.mount(ctx, t.target.Repository, d)
			if err != nil {
				return fmt.Errorf("opening an upload of blob %s to %s: %w", d, t.target.Repository, err)
			}
			t.mu.Lock()
			defer t.mu.Unlock()
			switch {
			case session != nil:
				t.opened[d] = session
			case t.own == nil || size == t.own[d]:
				t.sizes[d] = size
				t.found(size)
			}
			return nil
		})
	}
	return group.Wait()
}

// move uploads the missing blobs from the first source that gives them. Only what the registry does to a blob ends it
// early: what a source does wrong is for the next source to do right.
func (t *transfer) move(ctx context.Context) error {
	var faults []error
	for _, source := range t.contents.Sources {
		missing := t.missing()
		if len(missing) == 0 {
			return nil
		}
		wrong, err := t.moveFrom(ctx, source, missing)
		if err != nil {
			return err
		}
		if len(t.missing()) == 0 {
			return nil
		}
		if wrong == nil {
			wrong = errors.New("it did not give every blob")
		}
		faults = append(faults, fmt.Errorf("%s: %w", source.Name(), wrong))
		if t.fallback != nil {
			t.fallback(source.Name(), wrong)
		}
	}
	missing := t.missing()
	if len(missing) == 0 {
		return nil
	}
	return &sourceError{fmt.Errorf("no source gives blob %s: %w", missing[0], lastOf(faults))}
}

// lastOf joins errors to one that is what the last of them is: that of the source which every daemon has.
func lastOf(faults []error) error {
	if len(faults) < 2 {
		return errors.Join(faults...)
	}
	last := len(faults) - 1
	return fmt.Errorf("%s; %w", errors.Join(faults[:last]...).Error(), faults[last])
}

// moveFrom uploads what a source gives of the missing blobs. It returns what the source did wrong, and apart from that
// what went wrong with the registry.
func (t *transfer) moveFrom(ctx context.Context, source Source, missing []digest.Digest) (wrong, err error) {
	watch, watched := newWatch(ctx, t.contents.Size)
	defer watch.stop()
	var mu sync.Mutex
	var faults []error
	err = source.Blobs(watched, missing, func(d digest.Digest, size int64, blob io.Reader) error {
		reader := watch.reader(t.meter.reader(blob))
		defer reader.end()
		err := t.upload(watched, d, size, reader)
		if fault, ok := errors.AsType[*sourceError](err); ok && watched.Err() == nil {
			mu.Lock()
			defer mu.Unlock()
			faults = append(faults, fmt.Errorf("blob %s: %w", d, fault.err))
			return nil
		}
		if err != nil {
			return &registryError{fmt.Errorf("uploading blob %s to %s: %w", d, t.target.Repository, err)}
		}
		return nil
	})
	fault, ofRegistry := errors.AsType[*registryError](err)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case watch.stalled() != nil && watch.registryAtFault():
		return nil, fmt.Errorf("uploading to %s: %w", t.target.Repository, watch.stalled())
	case watch.stalled() != nil:
		return watch.stalled(), nil
	case ofRegistry:
		return nil, fault.err
	}
	return errors.Join(append(faults, err)...), nil
}

// upload moves one blob.
func (t *transfer) upload(ctx context.Context, d digest.Digest, size int64, blob io.Reader) error {
	if want, known := t.own[d]; known && size >= 0 && size != want {
		return &sourceError{fmt.Errorf("%w: it has %d bytes, not the %d of the manifest", ErrMismatch, size, want)}
	}
	t.mu.Lock()
	session := t.opened[d]
	delete(t.opened, d)
	t.mu.Unlock()
	moved, err := t.registry.upload(ctx, t.target.Repository, blobUpload{session, d, size, blob})
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sizes[d] = moved
	t.result.Bytes += moved
	t.result.Uploaded++
	return nil
}

// sourceError is what sources did wrong with a blob: they broke off, stalled, or gave something else. Whoever asked for
// the push may ask again; the registry is not to blame.
type sourceError struct{ err error }

func (e *sourceError) Error() string { return e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }

// registryError tells, in what a source returns, the registry's errors from the source's.
type registryError struct{ err error }

func (e *registryError) Error() string { return e.err.Error() }
func (e *registryError) Unwrap() error { return e.err }
