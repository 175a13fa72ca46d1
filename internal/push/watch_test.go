package push

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

// slow yields one byte after each pause. When no bytes are left, it blocks until its context ends.
type slow struct {
	ctx   context.Context //nolint:containedctx // a reader has no context argument
	pause time.Duration
	left  int
}

// Read waits for the pause, or until the context ends if no bytes are left.
func (s *slow) Read(p []byte) (int, error) {
	if s.left == 0 {
		<-s.ctx.Done()
		return 0, s.ctx.Err()
	}
	s.left--
	time.Sleep(s.pause)
	return copy(p, "x"), nil
}

func TestWatch_CancelsAStalledSourceButNotASlowOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, ctx := newWatch(t.Context(), 0)
		defer w.stop()
		start := time.Now()
		// The reader yields one byte every twenty seconds for ten minutes, and then stalls.
		_, err := io.Copy(io.Discard, w.reader(&slow{ctx: ctx, pause: 20 * time.Second, left: 30}))
		if took := time.Since(start); err == nil || took != 10*time.Minute+stallLimit {
			t.Errorf("ended with %v after %s, want 10m30s", err, took)
		}
		if w.stalled() == nil || w.registryAtFault() {
			t.Errorf("stalled %v, the registry at fault %t; want the source at fault", w.stalled(), w.registryAtFault())
		}
	})
}

func TestWatch_ReportsAStalledRegistry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, ctx := newWatch(t.Context(), 0)
		defer w.stop()
		if _, err := w.reader(bytes.NewReader([]byte("0123456789"))).Read(make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
		<-ctx.Done() // no reader continues
		if !w.registryAtFault() || !errors.Is(w.stalled(), errStalled) {
			t.Errorf("stalled %v, the registry at fault %t; want it at fault", w.stalled(), w.registryAtFault())
		}
	})
}

func TestWatch_AllowsTimeToWriteTheImageToDisk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		w, ctx := newWatch(t.Context(), 6_000_000_000)
		defer w.stop()
		<-ctx.Done()
		if took := time.Since(start); took != quietLimit+300*time.Second {
			t.Errorf("ended after %s, want 7m0s", took)
		}
	})
}
