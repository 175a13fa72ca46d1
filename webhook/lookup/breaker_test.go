package lookup_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kind-local-registry/internal/rewrite"
	"kind-local-registry/internal/rewrite/rewritetest"
	"kind-local-registry/webhook/lookup"
)

// lookerFunc is a function that implements Looker.
type lookerFunc func(ctx context.Context, name rewrite.Name) (rewrite.Presence, error)

func (f lookerFunc) Lookup(ctx context.Context, name rewrite.Name) (rewrite.Presence, error) {
	return f(ctx, name)
}

// is reports whether name is the tag latest of the given Docker Hub repository.
func is(name rewrite.Name, repository string) bool { return name.Familiar() == repository+":latest" }

// silentFor returns a Looker that never answers a lookup of one name, and immediately answers a lookup of any other.
func silentFor(silent string) lookerFunc {
	return func(ctx context.Context, name rewrite.Name) (rewrite.Presence, error) {
		if is(name, silent) {
			<-ctx.Done()
			return rewrite.Presence{}, ctx.Err()
		}
		return rewrite.Presence{OnHost: true}, nil
	}
}

// wantAnswer fails the test unless a lookup of name is answered.
func wantAnswer(t *testing.T, cache *lookup.Cache, name string) {
	t.Helper()
	if got, err := cache.Lookup(t.Context(), rewritetest.Name(t, name)); err != nil || !got.OnHost {
		t.Errorf("Lookup(%q) = %+v, %v, want the answer", name, got, err)
	}
}

func TestCache_KeepsAnErrorToItsName(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := map[string]int{}
		cache := lookup.NewCache(t.Context(), lookerFunc(func(_ context.Context, name rewrite.Name) (rewrite.Presence, error) {
			if asked[name.Familiar()]++; is(name, "broken") {
				return rewrite.Presence{}, errors.New("500: layer does not exist")
			}
			return rewrite.Presence{OnHost: true}, nil
		}), ignore)
		for range 10 {
			wantFailure(t, cache, "broken", 0)
			wantAnswer(t, cache, "fine")
		}
		time.Sleep(2 * time.Second)
		wantFailure(t, cache, "broken", 0)
		if got := asked["broken:latest"]; got != 2 {
			t.Errorf("the name was looked up %d times, want once in each of two seconds", got)
		}
	})
}

func TestCache_ProbesAnotherNameThanTheSilentOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cache := lookup.NewCache(t.Context(), silentFor("silent"), ignore)
		wantFailure(t, cache, "silent", 1500*time.Millisecond)
		wantFailure(t, cache, "fine", 0)
		time.Sleep(250 * time.Millisecond)
		wantAnswer(t, cache, "another")
	})
}

func TestCache_StaysClosedWhileOtherNamesAreAnswered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cache := lookup.NewCache(t.Context(), silentFor("silent"), ignore)
		var asking sync.WaitGroup
		asking.Go(func() { wantFailure(t, cache, "silent", 1500*time.Millisecond) })
		for i := range 100 {
			time.Sleep(100 * time.Millisecond)
			wantAnswer(t, cache, fmt.Sprintf("fine-%d", i))
		}
		asking.Wait()
	})
}

func TestCache_LimitsConcurrentLookups(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		now, most := 0, 0
		cache := lookup.NewCache(t.Context(), lookerFunc(func(context.Context, rewrite.Name) (rewrite.Presence, error) {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			time.Sleep(20 * time.Millisecond)
			mu.Lock()
			now--
			mu.Unlock()
			return rewrite.Presence{OnHost: true}, nil
		}), ignore)
		var asking sync.WaitGroup
		for i := range 1000 {
			asking.Go(func() { wantAnswer(t, cache, fmt.Sprintf("name-%d", i)) })
		}
		asking.Wait()
		if most != 32 {
			t.Errorf("%d lookups ran concurrently, want 32", most)
		}
	})
}

func TestCache_EndsALookupWithItsLastCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan time.Time, 1)
		cache := lookup.NewCache(t.Context(), lookerFunc(func(ctx context.Context, name rewrite.Name) (rewrite.Presence, error) {
			got, err := silentFor("left")(ctx, name)
			if is(name, "left") {
				ended <- time.Now()
			}
			return got, err
		}), ignore)
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := cache.Lookup(ctx, rewritetest.Name(t, "left")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Lookup = %v, want %v", err, context.DeadlineExceeded)
		}
		if took := (<-ended).Sub(start); took != 100*time.Millisecond {
			t.Errorf("the lookup ended after %s, want 100ms", took)
		}
		wantAnswer(t, cache, "another") // a caller that stops waiting does not open the breaker
	})
}
