package lookup_test

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"kind-local-registry/internal/rewrite"
	"kind-local-registry/internal/rewrite/rewritetest"
	"kind-local-registry/webhook/lookup"
)

// ignore is an observe function that does nothing.
func ignore(time.Duration, error) {}

// looker is a Looker that counts its lookups and gives the same answer to each, after a delay.
type looker struct {
	mu    sync.Mutex
	asked int

	hangs    bool
	back     time.Time // lookups fail until then
	takes    time.Duration
	presence rewrite.Presence
	err      error
	panics   bool
}

// hang sets whether new lookups hang.
func (l *looker) hang(hangs bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hangs = hangs
}

func (l *looker) Lookup(ctx context.Context, _ rewrite.Name) (rewrite.Presence, error) {
	l.mu.Lock()
	l.asked++
	hangs := l.hangs
	l.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return rewrite.Presence{}, ctx.Err()
	}
	if l.panics {
		panic("in a test")
	}
	if time.Now().Before(l.back) {
		return rewrite.Presence{}, syscall.ECONNREFUSED
	}
	select {
	case <-time.After(l.takes):
		return l.presence, l.err
	case <-ctx.Done():
		return rewrite.Presence{}, ctx.Err()
	}
}

func TestCache_LooksUpOnceForConcurrentCallers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		behind := &looker{takes: 100 * time.Millisecond, presence: rewrite.Presence{OnHost: true}}
		cache := lookup.NewCache(t.Context(), behind, ignore)
		var asking sync.WaitGroup
		for range 50 {
			asking.Go(func() {
				if got, err := cache.Lookup(t.Context(), rewritetest.Name(t, "a")); err != nil || !got.OnHost {
					t.Errorf("Lookup = %+v, %v, want the answer", got, err)
				}
			})
		}
		asking.Wait()
		if behind.asked != 1 {
			t.Errorf("asked %d times, want once", behind.asked)
		}
	})
}

func TestCache_ForgetsAnAnswerAfterASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		behind := &looker{}
		cache := lookup.NewCache(t.Context(), behind, ignore)
		for _, step := range []struct {
			after time.Duration
			asked int
		}{{0, 1}, {999 * time.Millisecond, 1}, {2 * time.Millisecond, 2}} {
			time.Sleep(step.after)
			if _, err := cache.Lookup(t.Context(), rewritetest.Name(t, "a")); err != nil {
				t.Fatal(err)
			}
			if behind.asked != step.asked {
				t.Errorf("asked %d times after another %s, want %d", behind.asked, step.after, step.asked)
			}
		}
	})
}

func TestCache_WaitsOnceForASilentPusher(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		behind := &looker{}
		behind.hang(true)
		cache := lookup.NewCache(t.Context(), behind, ignore)
		wantFailure(t, cache, "a", 1500*time.Millisecond)
		for range 600 { // for a minute, while the probe runs in the background
			wantFailure(t, cache, "b", 0)
			time.Sleep(100 * time.Millisecond)
		}

		behind.hang(false)
		time.Sleep(2600 * time.Millisecond) // longer than an attempt and the pause after it
		if _, err := cache.Lookup(t.Context(), rewritetest.Name(t, "b")); err != nil {
			t.Errorf("Lookup after the pusher answers again: %v", err)
		}
	})
}

func TestCache_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		behind := &looker{}
		behind.hang(true)
		cache := lookup.NewCache(ctx, behind, ignore)
		wantFailure(t, cache, "a", 1500*time.Millisecond)
		cancel()
		cache.Wait() // synctest fails the test if this blocks
	})
}

func TestCache_WaitsForAPusherThatRestarts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		behind := &looker{back: time.Now().Add(time.Second), presence: rewrite.Presence{OnHost: true}}
		cache := lookup.NewCache(t.Context(), behind, ignore)
		if got, err := cache.Lookup(t.Context(), rewritetest.Name(t, "a")); err != nil || !got.OnHost {
			t.Errorf("Lookup = %+v, %v, want the answer", got, err)
		}
	})
}

func TestCache_WaitsOnceForAnUnreachablePusher(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		behind := &looker{back: time.Now().Add(time.Minute)}
		cache := lookup.NewCache(t.Context(), behind, ignore)
		wantFailure(t, cache, "a", 1500*time.Millisecond)
		for time.Now().Before(behind.back) {
			wantFailure(t, cache, "b", 0)
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(200 * time.Millisecond) // the pause between two attempts
		if _, err := cache.Lookup(t.Context(), rewritetest.Name(t, "c")); err != nil {
			t.Errorf("Lookup after the pusher is reachable again: %v", err)
		}
	})
}

func TestCache_StaysClosedAfterARefusal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		behind := &looker{err: &rewrite.Refusal{Reason: rewrite.Unmappable}}
		cache := lookup.NewCache(t.Context(), behind, ignore)
		wantFailure(t, cache, "a", 0)
		wantFailure(t, cache, "b", 0)
		if behind.asked != 2 {
			t.Errorf("asked %d times, want twice", behind.asked)
		}
	})
}

func TestCache_AnswersOthersWhenTheFirstCallerLeaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cache := lookup.NewCache(t.Context(), &looker{takes: time.Second, presence: rewrite.Presence{OnHost: true}}, ignore)
		leaving, leave := context.WithCancel(t.Context())
		var first sync.WaitGroup
		first.Go(func() {
			if _, err := cache.Lookup(leaving, rewritetest.Name(t, "a")); !errors.Is(err, context.Canceled) {
				t.Errorf("Lookup by the caller that left: %v, want %v", err, context.Canceled)
			}
		})
		synctest.Wait()
		leave()
		first.Wait()
		if got, err := cache.Lookup(t.Context(), rewritetest.Name(t, "a")); err != nil || !got.OnHost {
			t.Errorf("Lookup = %+v, %v, want the answer", got, err)
		}
	})
}

func TestCache_SurvivesAPanic(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		wantFailure(t, lookup.NewCache(t.Context(), &looker{panics: true}, ignore), "a", 0)
	})
}

// wantFailure fails the test unless a lookup of name fails after exactly the given time.
func wantFailure(t *testing.T, cache *lookup.Cache, name string, after time.Duration) {
	t.Helper()
	start := time.Now()
	if _, err := cache.Lookup(t.Context(), rewritetest.Name(t, name)); err == nil {
		t.Errorf("Lookup(%q) succeeded, want an error", name)
	}
	if took := time.Since(start); took != after {
		t.Errorf("Lookup(%q) took %s, want %s", name, took, after)
	}
}
