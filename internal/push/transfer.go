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

// transfer is the state of one push. Each attempt uploads the blobs that the registry still lacks.
type transfer struct {
	registry *Registry
	target   Target
	contents Contents
	fallback func(string, error)
	meter    *meter
	// manifestSizes contains the blobs' sizes from the image's own manifest. It is nil if the push generates the manifest.
	manifestSizes map[digest.Digest]int64

	mu     sync.Mutex
	sizes  map[digest.Digest]int64    // sizes of the blobs that the registry has
	opened map[digest.Digest]*url.URL // uploads that the registry opened instead of a mount
	result Result
}

// try uploads the missing blobs. It uploads the image manifest last, so an incomplete image is never visible.
func (t *transfer) try(ctx context.Context) error {
	if err := t.findPresent(ctx); err != nil {
		return err
	}
	missing := t.missing()
	if len(missing) > 0 {
		if err := t.mount(ctx, missing); err != nil {
			return err
		}
		if err := t.uploadMissing(ctx); err != nil {
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

// findPresent finds the blobs that the registry has. A blob whose size differs from its size in the image manifest is treated
// as missing.
func (t *transfer) findPresent(ctx context.Context) error {
	sizes, err := t.registry.sizes(ctx, t.target.Repository, t.contents.blobs())
	if err != nil {
		return err
	}
	maps.DeleteFunc(sizes, func(d digest.Digest, size int64) bool { return t.manifestSizes != nil && size != t.manifestSizes[d] })
	first := t.sizes == nil
	t.sizes, t.opened = sizes, map[digest.Digest]*url.URL{}
	if first {
		for _, size := range sizes {
			t.countPresent(size)
		}
	}
	return nil
}

// countPresent adds to the result a blob that the registry already had.
func (t *transfer) countPresent(size int64) {
	t.result.Present++
	t.result.PresentBytes += size
	t.meter.markPresent(size)
}

// missing returns the image's blobs that the registry does not have.
func (t *transfer) missing() []digest.Digest {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.DeleteFunc(t.contents.blobs(), func(d digest.Digest) bool { _, has := t.sizes[d]; return has })
}

// mount concurrently mounts the missing blobs from the registry's other repositories. For a blob that no repository has, the
// registry opens an upload.
func (t *transfer) mount(ctx context.Context, missing []digest.Digest) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxConcurrentHeads)
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
			case t.manifestSizes == nil || size == t.manifestSizes[d]:
				t.sizes[d] = size
				t.countPresent(size)
			}
			return nil
		})
	}
	return group.Wait()
}

// uploadMissing uploads the missing blobs from the first source that provides them. If a source fails, uploadMissing tries the
// next source. If the registry fails, it stops.
func (t *transfer) uploadMissing(ctx context.Context) error {
	var faults []error
	for _, source := range t.contents.Sources {
		missing := t.missing()
		if len(missing) == 0 {
			return nil
		}
		sourceErr, err := t.uploadFrom(ctx, source, missing)
		if err != nil {
			return err
		}
		if len(t.missing()) == 0 {
			return nil
		}
		if sourceErr == nil {
			sourceErr = errors.New("the source did not provide every blob")
		}
		faults = append(faults, fmt.Errorf("%s: %w", source.Name(), sourceErr))
		if t.fallback != nil {
			t.fallback(source.Name(), sourceErr)
		}
	}
	missing := t.missing()
	if len(missing) == 0 {
		return nil
	}
	return &sourceError{fmt.Errorf("no source has blob %s: %w", missing[0], joinFaults(faults))}
}

// joinFaults joins the sources' errors into one error. That error wraps only the last source's error, because every daemon has
// the last source.
func joinFaults(faults []error) error {
	if len(faults) < 2 {
		return errors.Join(faults...)
	}
	last := len(faults) - 1
	return fmt.Errorf("%s; %w", errors.Join(faults[:last]...).Error(), faults[last])
}

// uploadFrom uploads the missing blobs that a source provides. It returns errors of the source as sourceErr and errors of the
// registry as err.
func (t *transfer) uploadFrom(ctx context.Context, source Source, missing []digest.Digest) (sourceErr, err error) {
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
			if errors.Is(fault.err, ErrMismatch) {
				faults = append(faults, &mismatch{d, fault.err})
			} else {
				faults = append(faults, fmt.Errorf("blob %s: %w", d, fault.err))
			}
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

// upload uploads one blob.
func (t *transfer) upload(ctx context.Context, d digest.Digest, size int64, blob io.Reader) error {
	if want, known := t.manifestSizes[d]; known && size >= 0 && size != want {
		return &sourceError{fmt.Errorf("%w: it has %d bytes instead of the %d in the image manifest", ErrMismatch, size, want)}
	}
	t.mu.Lock()
	session := t.opened[d]
	delete(t.opened, d)
	t.mu.Unlock()
	uploaded, err := t.registry.upload(ctx, t.target.Repository, blobUpload{session, d, size, blob})
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sizes[d] = uploaded
	t.result.Bytes += uploaded
	t.result.Uploaded++
	return nil
}

// sourceError is an error caused by a blob's sources: they broke off, stalled or sent content that does not match the digest.
// Retrying the upload alone does not help, but the caller may retry the whole push.
type sourceError struct{ err error }

func (e *sourceError) Error() string { return e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }

// registryError wraps an error caused by the registry. It distinguishes that error from the source's own errors, because Blobs
// returns both.
type registryError struct{ err error }

func (e *registryError) Error() string { return e.err.Error() }
func (e *registryError) Unwrap() error { return e.err }
