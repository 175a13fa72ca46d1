package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Step is one thing that setup makes true and takes away again.
type Step struct {
	// Name is the piece, as a person calls it.
	Name string
	// InCluster says that the piece goes with the cluster when that is deleted.
	InCluster bool
	// Check asks how things stand and changes nothing. An error means that it could not be told.
	Check func(context.Context) (State, error)
	// Apply makes the step true; it is called only where Check says that it is not, and may be repeated.
	Apply func(context.Context, Progress) error
	// Undo takes away what Apply made, and nothing else; it is no error where there is nothing.
	Undo func(context.Context) (string, error)
}

// State is how one step stands.
type State struct {
	// OK says that nothing is to be done.
	OK bool `json:"ok"`
	// Detail says what is there, in a few words.
	Detail string `json:"detail"`
	// Remedy says what a person can do where it is not OK; "" for running setup up.
	Remedy string `json:"remedy,omitempty"`
}

// advice returns what a person can do about a state that is not OK.
func (s State) advice() string {
	if s.Remedy == "" {
		return "run setup up"
	}
	return s.Remedy
}

// Progress takes a line about what a step is doing just now.
type Progress func(line string)

// Result is what became of one step.
type Result struct {
	Step     string        `json:"step"`
	Changed  bool          `json:"changed"`
	Detail   string        `json:"detail,omitempty"`
	Duration time.Duration `json:"duration"`
	Err      error         `json:"-"`
}

// Observer is told of each step: Begin before it, Progress while it runs, End after it.
type Observer interface {
	Begin(step string)
	Progress(line string)
	End(Result)
}

// Up applies, in order, each step that is not as it should be, and says whether anything was changed. It stops at the
// first that fails: the steps before it stay, and a second run goes on from there.
func Up(ctx context.Context, steps []Step, observer Observer) (changed bool, err error) {
	for _, step := range steps {
		result := apply(ctx, step, observer)
		changed = changed || result.Changed
		observer.End(result)
		if result.Err != nil {
			return changed, result.Err
		}
	}
	return changed, nil
}

func apply(ctx context.Context, step Step, observer Observer) Result {
	observer.Begin(step.Name)
	start := time.Now()
	result := Result{Step: step.Name}
	state, err := step.Check(ctx)
	if err == nil && !state.OK {
		result.Changed = true
		if err = step.Apply(ctx, observer.Progress); err == nil {
			state, err = step.Check(ctx)
		}
		if err == nil && !state.OK {
			err = remedy(errors.New(state.Detail), state.Remedy)
		}
	}
	if err != nil {
		result.Err = fmt.Errorf("%s: %w", step.Name, err)
	}
	result.Detail, result.Duration = state.Detail, time.Since(start)
	return result
}

// Down undoes the steps, last first. It goes on after a failure, so that one broken piece does not keep the others, and
// returns every error.
func Down(ctx context.Context, steps []Step, observer Observer) error {
	var failed []error
	for _, step := range slices.Backward(steps) {
		if step.Undo == nil {
			continue
		}
		observer.Begin(step.Name)
		start := time.Now()
		detail, err := step.Undo(ctx)
		if err != nil {
			err = fmt.Errorf("%s: %w", step.Name, err)
			failed = append(failed, err)
		}
		observer.End(Result{Step: step.Name, Changed: true, Detail: detail, Duration: time.Since(start), Err: err})
	}
	return errors.Join(failed...)
}

// remedy adds to an error what a person can do about it.
func remedy(err error, advice string) error {
	if advice == "" {
		return err
	}
	return fmt.Errorf("%w; %s", err, advice)
}
