package step

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// world is the set of names that the steps in these tests change.
type world map[string]bool

// step returns a step that adds its name to the world.
func (w world) step(name string) Step {
	return Step{
		Name:  name,
		Check: func(context.Context) (State, error) { return State{OK: w[name]}, nil },
		Apply: func(context.Context, Progress) error { w[name] = true; return nil },
		Undo:  func(context.Context) (string, error) { delete(w, name); return "", nil },
	}
}

// ended is an Observer that collects results.
type ended []string

func (e *ended) Begin(string)     {}
func (e *ended) Progress(string)  {}
func (e *ended) Checked(s Status) { *e = append(*e, s.Step) }
func (e *ended) End(r Result) {
	line := r.Step
	if r.Changed {
		line += " changed"
	}
	if r.Err != nil {
		line += " failed"
	}
	*e = append(*e, line)
}

func TestUp_AppliesOnlyWhatFailsItsCheck(t *testing.T) {
	t.Parallel()
	w := world{"a": true}
	var seen ended
	changed, err := Up(t.Context(), []Step{w.step("a"), w.step("b")}, &seen)
	if err != nil || !changed {
		t.Errorf("Up = %t, %v; want true, nil", changed, err)
	}
	if diff := cmp.Diff(ended{"a", "b changed"}, seen); diff != "" {
		t.Error(diff)
	}
	if changed, err = Up(t.Context(), []Step{w.step("a"), w.step("b")}, &seen); changed || err != nil {
		t.Errorf("a second Up = %t, %v; want false, nil", changed, err)
	}
}

func TestUp_StopsAtFirstFailureAndNamesStep(t *testing.T) {
	t.Parallel()
	w := world{}
	broken := w.step("broken")
	full := errors.New("disk full")
	broken.Apply = func(context.Context, Progress) error { return full }
	var seen ended
	_, err := Up(t.Context(), []Step{w.step("a"), broken, w.step("c")}, &seen)
	if !errors.Is(err, full) || err.Error() != "broken: disk full" {
		t.Errorf("Up = %v", err)
	}
	if diff := cmp.Diff(world{"a": true}, w); diff != "" {
		t.Error(diff)
	}
}

func TestUp_RejectsApplyThatChangesNothing(t *testing.T) {
	t.Parallel()
	idle := Step{
		Name:  "idle",
		Check: func(context.Context) (State, error) { return State{Detail: "still wrong", Remedy: "do this"}, nil },
		Apply: func(context.Context, Progress) error { return nil },
	}
	if _, err := Up(t.Context(), []Step{idle}, new(ended)); err == nil || err.Error() != "idle: still wrong; do this" {
		t.Errorf("Up = %v", err)
	}
}

func TestDown_UndoesLastFirstAndContinuesAfterFailure(t *testing.T) {
	t.Parallel()
	w := world{"a": true, "b": true, "c": true}
	broken := w.step("b")
	broken.Undo = func(context.Context) (string, error) { return "", errors.New("busy") }
	var seen ended
	err := Down(t.Context(), []Step{w.step("a"), broken, w.step("c")}, &seen)
	if err == nil || err.Error() != "b: busy" {
		t.Errorf("Down = %v", err)
	}
	if diff := cmp.Diff(ended{"c changed", "b changed failed", "a changed"}, seen); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(world{"b": true}, w); diff != "" {
		t.Error(diff)
	}
}

func TestCheckAll_AddsRemedyToFailedChecks(t *testing.T) {
	t.Parallel()
	w := world{"a": true}
	unclear := Step{Name: "unclear", Check: func(context.Context) (State, error) { return State{}, errors.New("no answer") }}
	var seen ended
	want := []Status{
		{Step: "a", State: State{OK: true}},
		{Step: "b", State: State{Remedy: "run setup up"}},
		{Step: "unclear", State: State{Detail: "no answer", Remedy: "run setup up"}},
	}
	if diff := cmp.Diff(want, CheckAll(t.Context(), []Step{w.step("a"), w.step("b"), unclear}, &seen), cmpopts.IgnoreFields(Status{}, "Duration")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(ended{"a", "b", "unclear"}, seen); diff != "" {
		t.Errorf("observed checks (-want +got):\n%s", diff)
	}
}

func TestPoll_ReturnsTheLastErrorAfterTheLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start, tries := time.Now(), 0
		err := Poll(t.Context(), time.Second, func(context.Context) error {
			tries++
			return fmt.Errorf("try %d", tries)
		})
		if err == nil || err.Error() != fmt.Sprintf("try %d", tries) || tries < 4 || time.Since(start) != time.Second {
			t.Errorf("Poll = %v after %d tries and %s, want the last error after 1s", err, tries, time.Since(start))
		}
	})
}

func TestPoll_StopsAtTheFirstSuccess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start, tries := time.Now(), 0
		err := Poll(t.Context(), time.Minute, func(context.Context) error {
			if tries++; tries < 3 {
				return errors.New("not yet")
			}
			return nil
		})
		if err != nil || tries != 3 || time.Since(start) != 2*pollInterval {
			t.Errorf("Poll = %v after %d tries and %s, want nil after 3 tries", err, tries, time.Since(start))
		}
	})
}

func TestOrRemedy_KeepsTheFirstRemedy(t *testing.T) {
	t.Parallel()
	full := errors.New("disk full")
	for want, err := range map[string]error{
		"disk full; run it again":         Remedy(full, ""),
		"cluster: disk full; free some":   fmt.Errorf("cluster: %w", Remedy(full, "free some")),
		"disk full; free some\ndisk full": errors.Join(Remedy(full, "free some"), full),
	} {
		if got := OrRemedy(err, "run it again"); got.Error() != want || !errors.Is(got, full) {
			t.Errorf("OrRemedy(%v) = %v, want %s", err, got, want)
		}
	}
	if err := OrRemedy(nil, "run it again"); err != nil {
		t.Errorf("OrRemedy(nil) = %v, want nil", err)
	}
}

func TestCount_AddsAPluralS(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{0: "0 nodes", 1: "1 node", 2: "2 nodes"} {
		if got := Count(n, "node"); got != want {
			t.Errorf("Count(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestSplitRemedy_SeparatesTheAdvice(t *testing.T) {
	t.Parallel()
	fault := errors.New("no answer; or none yet")
	for _, err := range []error{Remedy(fault, "start it"), errors.Join(Remedy(fault, "start it"), nil)} {
		if got, advice := SplitRemedy(err); got != fault.Error() || advice != "start it" {
			t.Errorf("SplitRemedy(%q) = %q, %q; want the fault and the advice", err, got, advice)
		}
	}
	for _, err := range []error{fault, fmt.Errorf("asking: %w", fault)} {
		if got, advice := SplitRemedy(err); got != err.Error() || advice != "" {
			t.Errorf("SplitRemedy(%q) = %q, %q; want the error without advice", err, got, advice)
		}
	}
}
