package push

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// stallLimit is how long a running upload may go without moving a byte.
	stallLimit = 30 * time.Second
	// quietLimit is how long a source may take before each blob, and how long the registry may take to write a blob to disk. This
	// is the limit for an empty image; the larger the image, the longer the limit.
	quietLimit = 2 * time.Minute
	// minSaveRate is the minimum rate, in bytes per second, at which save must get to the next requested blob: Docker writes the
	// whole image to disk before it sends the first byte, and save skips blobs that were not requested.
	minSaveRate = 20_000_000
)

// errStalled is part of the error of a push that has stalled.
var errStalled = errors.New("no byte moved")

// watch stops reading from a source when the source or the registry stalls.
type watch struct {
	quiet   time.Duration
	timer   *time.Timer
	cancel  context.CancelCauseFunc
	context context.Context //nolint:containedctx // its cause is what stalled returns
	reading atomic.Int32    // number of readers that are waiting for the source
	blobs   atomic.Int32    // number of readers that have not ended
}

// newWatch starts to watch the push of an image with the given size in bytes. The push must use the returned context.
func newWatch(ctx context.Context, size int64) (*watch, context.Context) {
	watched, cancel := context.WithCancelCause(ctx)
	w := &watch{
		quiet: quietLimit + time.Duration(size/minSaveRate)*time.Second, cancel: cancel, context: watched,
	}
	w.timer = time.AfterFunc(w.quiet, w.stall)
	return w, watched
}

func (w *watch) stop() {
	w.timer.Stop()
	w.cancel(nil)
}

func (w *watch) stall() {
	limit, stalled := w.quiet, "the source"
	if w.blobs.Load() > 0 {
		limit = stallLimit
		if w.registryAtFault() {
			stalled = "the registry"
		}
	}
	w.cancel(fmt.Errorf("%s stalled: %w for %s", stalled, errStalled, limit))
}

// registryAtFault reports whether the registry has stalled, rather than the source.
func (w *watch) registryAtFault() bool { return w.blobs.Load() > 0 && w.reading.Load() == 0 }

// stalled returns the error with which the watch cancelled the push, or nil if the watch did not.
func (w *watch) stalled() error {
	if cause := context.Cause(w.context); errors.Is(cause, errStalled) {
		return cause
	}
	return nil
}

// reader wraps r in a reader that is watched until r ends or end is called.
func (w *watch) reader(r io.Reader) *watched {
	w.blobs.Add(1)
	w.timer.Reset(stallLimit)
	return &watched{Reader: r, watch: w}
}

type watched struct {
	io.Reader
	watch *watch
	once  sync.Once
}

// end tells the watch that no more bytes are expected.
func (r *watched) end() {
	r.once.Do(func() {
		r.watch.blobs.Add(-1)
		r.watch.timer.Reset(r.watch.quiet)
	})
}

// Read reads from the wrapped reader and restarts the watch's timer.
func (r *watched) Read(p []byte) (int, error) {
	r.watch.reading.Add(1)
	n, err := r.Reader.Read(p)
	r.watch.reading.Add(-1)
	if err == nil {
		r.watch.timer.Reset(stallLimit)
	} else {
		r.end()
	}
	return n, err
}
