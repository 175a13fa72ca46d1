package step

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// lists returns a function that lists one change with that name.
func lists(name string) func(context.Context) ([]Change, error) {
	return func(context.Context) ([]Change, error) {
		return []Change{{Action: Delete, Kind: Volume, Name: name}}, nil
	}
}

func TestPlan_ListsLastStepFirstAndUnreadableSteps(t *testing.T) {
	t.Parallel()
	broken := func(context.Context) ([]Change, error) { return nil, errors.New("no answer") }
	steps := []Step{{Name: "a", Plan: lists("a")}, {Name: "b"}, {Name: "c", Plan: broken}, {Name: "d", Plan: lists("d")}}
	want := []Change{
		{Action: Delete, Kind: Volume, Name: "d"},
		{Action: Try, Kind: Parts, Name: "c", Detail: "no answer"},
		{Action: Delete, Kind: Volume, Name: "a"},
	}
	got, err := Plan(t.Context(), steps)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("Plan: error %v, (-want +got):\n%s", err, diff)
	}
}

func TestForeign_ListsFirstStepFirstAndReportsErrors(t *testing.T) {
	t.Parallel()
	steps := []Step{{Name: "a", Foreign: lists("a")}, {Name: "b"}, {Name: "c", Foreign: lists("c")}}
	want := []Change{{Action: Delete, Kind: Volume, Name: "a"}, {Action: Delete, Kind: Volume, Name: "c"}}
	got, err := Foreign(t.Context(), steps)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("Foreign: error %v, (-want +got):\n%s", err, diff)
	}
	gone := errors.New("docker is gone")
	steps[1].Foreign = func(context.Context) ([]Change, error) { return nil, gone }
	if _, err := Foreign(t.Context(), steps); !errors.Is(err, gone) || err.Error() != "b: docker is gone" {
		t.Errorf("Foreign = %v, want the error of step b", err)
	}
}

func TestPlan_LimitsTheTimeOfEachStep(t *testing.T) {
	t.Parallel()
	hangs := func(ctx context.Context) ([]Change, error) { <-ctx.Done(); return nil, ctx.Err() }
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		got, err := Plan(t.Context(), []Step{{Name: "a", Plan: lists("a")}, {Name: "b", Plan: hangs}})
		if err != nil || len(got) != 2 || got[0].Action != Try || time.Since(start) != planTimeout {
			t.Errorf("Plan = %+v, %v after %s; want both steps after %s", got, err, time.Since(start), planTimeout)
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Plan(ctx, []Step{{Name: "b", Plan: hangs}}); !errors.Is(err, context.Canceled) {
		t.Errorf("Plan after an interruption = %v, want %v", err, context.Canceled)
	}
}

func TestUpAndDown_StopBeforeTheNextStepIfInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	w := world{}
	interrupting := w.step("b")
	interrupting.Apply = func(context.Context, Progress) error { cancel(); w["b"] = true; return nil }
	_, err := Up(ctx, []Step{w.step("a"), interrupting, w.step("c")}, new(ended))
	if diff := cmp.Diff(world{"a": true, "b": true}, w); !errors.Is(err, context.Canceled) || diff != "" {
		t.Errorf("Up = %v, want %v; applied (-want +got):\n%s", err, context.Canceled, diff)
	}
	var seen ended
	if err := Down(ctx, []Step{w.step("a"), w.step("b")}, &seen); !errors.Is(err, context.Canceled) || len(seen) > 0 {
		t.Errorf("Down = %v with steps %q, want %v and none", err, seen, context.Canceled)
	}
}
