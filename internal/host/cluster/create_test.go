package cluster

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestAbortable_AbortsUntilCreateReturns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var aborts int
		gone := make(chan struct{})
		create := func() error {
			<-gone // kind notices only when a node is gone that it has just created
			return errors.New("no such container")
		}
		abort := func() error {
			if aborts++; aborts == 3 {
				close(gone)
			}
			return nil
		}
		time.AfterFunc(time.Minute, cancel)
		start := time.Now()
		err := abortable(ctx, time.Second, create, abort)
		if took := time.Since(start); !errors.Is(err, context.Canceled) || took != time.Minute+2*time.Second || aborts != 4 {
			t.Errorf("abortable = %v after %s and %d aborts; want %v after 1m2s and 4 aborts, the last one after create", err, took, aborts, context.Canceled)
		}
	})
}

func TestAbortable_NeverAbortsWithoutInterruption(t *testing.T) {
	t.Parallel()
	failed := errors.New("failed")
	for _, want := range []error{nil, failed} {
		abort := func() error { t.Error("aborted"); return nil }
		if err := abortable(t.Context(), time.Second, func() error { return want }, abort); !errors.Is(err, want) {
			t.Errorf("abortable = %v, want %v", err, want)
		}
	}
}

func TestAbortable_ReportsNodesThatAreLeft(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	busy := errors.New("busy")
	if err := abortable(ctx, time.Millisecond, func() error { return nil }, func() error { return busy }); !errors.Is(err, busy) {
		t.Errorf("abortable = %v, want %v", err, busy)
	}
}
