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
	// stallAfter is how long a blob under way may move no byte: what is slow moves some.
	stallAfter = 30 * time.Second
	// quietAfter is how long a source may take to its first blob, or from one to the next, and the registry to bring a blob
	// to its disk, for an image of no size.
	quietAfter = 2 * time.Minute
	// slowest is the rate, in bytes per second, at which a daemon is thought to write an image to its disk, which Docker
	// does with the whole image before the first byte, and to skip what is not wanted.
	slowest = 20_000_000
)

// errStalled is the error of a push that stands still.
var errStalled = errors.New("no byte moved")

// watch ends the work of a source when it stands still.
type watch struct {
	quiet   time.Duration
	timer   *time.Timer
	cancel  context.CancelCauseFunc
	context context.Context //nolint:containedctx // whose cause is what the watch has found
	reading atomic.Int32    // readers that wait for the source
	blobs   atomic.Int32    // readers under way
}

// newWatch starts to watch the work on an image of that size, which is done under the context returned.
func newWatch(ctx context.Context, size int64) (*watch, context.Context) {
	watched, cancel := context.WithCancelCause(ctx)
	w := &watch{
		quiet: quietAfter + time.Duration(size/slowest)*time.Second, cancel: cancel, context: watched,
	}
	w.timer = time.AfterFunc(w.quiet, w.stall)
	return w, watched
}

func (w *watch) stop() {
	w.timer.Stop()
	w.cancel(nil)
}

func (w *watch) stall() {
	limit, who := w.quiet, "the source"
	if w.blobs.Load() > 0 {
		limit = stallAfter
		if w.registryAtFault() {
			who = "the registry"
		}
	}
	w.cancel(fmt.Errorf("%w for %s by %s", errStalled, limit, who))
}

// registryAtFault says whether it was the registry that did not take bytes.
func (w *watch) registryAtFault() bool { return w.blobs.Load() > 0 && w.reading.Load() == 0 }

// stalled returns why the work was ended; nil where it was not, or not by the watch.
func (w *watch) stalled() error {
	if cause := context.Cause(w.context); errors.Is(cause, errStalled) {
		return cause
	}
	return nil
}

// reader returns r, watched until it ends or end is called.
func (w *watch) reader(r io.Reader) *watched {
	w.blobs.Add(1)
	w.timer.Reset(stallAfter)
	return &watched{Reader: r, watch: w}
}

type watched struct {
	io.Reader
	watch *watch
	once  sync.Once
}

// end says that no byte is to be expected any more.
func (r *watched) end() {
	r.once.Do(func() {
		r.watch.blobs.Add(-1)
		r.watch.timer.Reset(r.watch.quiet)
	})
}

// Read reads, and tells the watch so.
func (r *watched) Read(p []byte) (int, error) {
	r.watch.reading.Add(1)
	n, err := r.Reader.Read(p)
	r.watch.reading.Add(-1)
	if err == nil {
		r.watch.timer.Reset(stallAfter)
	} else {
		r.end()
	}
	return n, err
}
