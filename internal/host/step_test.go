package host

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// world is what the steps of these tests make true: a set of names.
type world map[string]bool

// step returns a step that puts its name into the world.
func (w world) step(name string) Step {
	return Step{
		Name:  name,
		Check: func(context.Context) (State, error) { return State{OK: w[name]}, nil },
		Apply: func(context.Context, Progress) error { w[name] = true; return nil },
		Undo:  func(context.Context) (string, error) { delete(w, name); return "", nil },
	}
}

// ended collects the results that an observer is told.
type ended []string

func (e *ended) Begin(string)    {}
func (e *ended) Progress(string) {}
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

func TestUp_AppliesOnlyWhatIsNotRight(t *testing.T) {
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

func TestUp_StopsAtTheFirstFailureAndNamesTheStep(t *testing.T) {
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

func TestUp_DoesNotBelieveAnApplyThatChangedNothing(t *testing.T) {
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

func TestDown_UndoesLastFirstAndGoesOnAfterAFailure(t *testing.T) {
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

func TestStatus_SaysWhatToDoAboutAPieceThatIsNotRight(t *testing.T) {
	t.Parallel()
	w := world{"a": true}
	unclear := Step{Name: "unclear", Check: func(context.Context) (State, error) { return State{}, errors.New("no answer") }}
	want := []Piece{
		{Step: "a", State: State{OK: true}},
		{Step: "b", State: State{Remedy: "run setup up"}},
		{Step: "unclear", State: State{Detail: "no answer", Remedy: "run setup up"}},
	}
	if diff := cmp.Diff(want, Status(t.Context(), []Step{w.step("a"), w.step("b"), unclear})); diff != "" {
		t.Error(diff)
	}
}
