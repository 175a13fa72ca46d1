package coalesce_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"kind-local-registry/internal/coalesce"
)

// group uses numbers as results and progress.
type group = coalesce.Group[int, int]

// answer contains what Do returned, and the progress that its caller received.
type answer struct {
	result   int
	joined   bool
	err      error
	progress []int
}

// do calls Do in a goroutine, and returns a channel that receives Do's answer.
func do(ctx context.Context, g *group, run coalesce.Run[int, int]) <-chan answer {
	answered := make(chan answer, 1)
	go func() {
		var a answer
		a.result, a.joined, a.err = g.Do(ctx, "key", func(p int) { a.progress = append(a.progress, p) }, run)
		answered <- a
	}()
	synctest.Wait()
	return answered
}

// until returns a Run that reports each value it receives from reports, and ends when that channel is closed. begun counts the
// runs.
func until(reports <-chan int, begun *int) coalesce.Run[int, int] {
	return func(ctx context.Context, report func(int)) (int, error) {
		*begun++
		for {
			select {
			case <-ctx.Done():
				return 0, ctx.Err()
			case p, more := <-reports:
				if !more {
					return *begun, nil
				}
				report(p)
			}
		}
	}
}

func TestDo_SharesOneCallAndItsProgress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var g group
		var begun int
		reports := make(chan int)
		first := do(t.Context(), &g, until(reports, &begun))
		reports <- 5
		synctest.Wait()
		second := do(t.Context(), &g, until(reports, &begun))
		reports <- 7
		close(reports)
		for name, tt := range map[string]struct {
			answered <-chan answer
			joined   bool
			progress []int
		}{
			"the first":  {first, false, []int{0, 5, 7}},
			"the second": {second, true, []int{5, 7}},
		} {
			got := <-tt.answered
			if got.err != nil || got.result != 1 || got.joined != tt.joined {
				t.Errorf("Do of %s = %d, %v, %v, want 1, %v", name, got.result, got.joined, got.err, tt.joined)
			}
			if !slices.Equal(got.progress, tt.progress) {
				t.Errorf("%s got progress %v, want %v", name, got.progress, tt.progress)
			}
		}
		if begun != 1 {
			t.Errorf("%d runs, want 1", begun)
		}
	})
}

func TestDo_StartsAnotherCallAfterTheFirstEnds(t *testing.T) {
	t.Parallel()
	var g group
	for want := range 2 {
		got, joined, err := g.Do(t.Context(), "key", nil, func(context.Context, func(int)) (int, error) { return want, nil })
		if got != want || joined || err != nil {
			t.Errorf("Do = %d, %v, %v, want %d of a call of its own", got, joined, err, want)
		}
	}
}

func TestDo_ReturnsTheErrorToAllCallers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var g group
		fault, fail := errors.New("in a test"), make(chan struct{})
		run := func(context.Context, func(int)) (int, error) { <-fail; return 0, fault }
		first, second := do(t.Context(), &g, run), do(t.Context(), &g, run)
		close(fail)
		for _, answered := range []<-chan answer{first, second} {
			if got := <-answered; !errors.Is(got.err, fault) {
				t.Errorf("Do failed with %v, want %v", got.err, fault)
			}
		}
	})
}

func TestDo_ContinuesForTheRemainingCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var g group
		var begun int
		reports := make(chan int)
		impatient, leave := context.WithCancel(t.Context())
		left, stayed := do(impatient, &g, until(reports, &begun)), do(t.Context(), &g, until(reports, &begun))
		leave()
		if got := <-left; !errors.Is(got.err, context.Canceled) {
			t.Errorf("Do of the caller who left = %v, want %v", got.err, context.Canceled)
		}
		close(reports)
		if got := <-stayed; got.err != nil || got.result != 1 {
			t.Errorf("Do of the remaining caller = %d, %v, want 1", got.result, got.err)
		}
	})
}

func TestDo_CancelsTheCallWhenTheLastCallerLeaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var g group
		ended := make(chan struct{})
		ctx, leave := context.WithCancel(t.Context())
		left := do(ctx, &g, func(ctx context.Context, _ func(int)) (int, error) {
			defer close(ended)
			<-ctx.Done()
			return 0, ctx.Err()
		})
		leave()
		<-ended
		if got := <-left; !errors.Is(got.err, context.Canceled) {
			t.Errorf("Do = %v, want %v", got.err, context.Canceled)
		}
	})
}

func TestDo_JoinsNoCancelledCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var g group
		release := make(chan struct{})
		ctx, leave := context.WithCancel(t.Context())
		left := do(ctx, &g, func(context.Context, func(int)) (int, error) { <-release; return 1, nil })
		leave()
		<-left
		got, joined, err := g.Do(t.Context(), "key", nil, func(context.Context, func(int)) (int, error) { return 2, nil })
		if got != 2 || joined || err != nil {
			t.Errorf("Do = %d, %v, %v, want 2 of a call of its own", got, joined, err)
		}
		close(release)
	})
}

func TestClose_CancelsCallsAndWaitsForThem(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var g group
		var begun int
		var closing sync.WaitGroup
		answered := do(t.Context(), &g, until(make(chan int), &begun))
		closing.Go(g.Close)
		if got := <-answered; !errors.Is(got.err, context.Canceled) {
			t.Errorf("Do = %v, want %v", got.err, context.Canceled)
		}
		closing.Wait()
		if got := <-do(t.Context(), &g, until(nil, &begun)); !errors.Is(got.err, coalesce.ErrClosed) {
			t.Errorf("Do after Close = %v, want %v", got.err, coalesce.ErrClosed)
		}
	})
}
