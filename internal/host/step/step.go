package step

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Step is one part of the system that setup creates and removes.
type Step struct {
	// Name names the step in output and errors.
	Name string
	// InCluster means that deleting the cluster also undoes the step.
	InCluster bool
	// Check returns the step's state and changes nothing. An error means that the state is unknown.
	Check func(context.Context) (State, error)
	// Apply changes the system so that Check returns OK. It is called only if Check does not return OK, and can be called again.
	Apply func(context.Context, Progress) error
	// Undo removes only what Apply created. It returns a short description of what it did. It succeeds if there is nothing to
	// remove.
	Undo func(context.Context) (string, error)
}

// State is the state of one step.
type State struct {
	// OK means that there is nothing to do.
	OK bool `json:"ok"`
	// Detail briefly describes what was found.
	Detail string `json:"detail"`
	// Remedy tells the user what to do if the state is not OK. "" means: run setup up.
	Remedy string `json:"remedy,omitempty"`
}

// Advice returns Remedy or its default.
func (s State) Advice() string {
	if s.Remedy == "" {
		return "run setup up"
	}
	return s.Remedy
}

// Progress receives a line about what a step is doing.
type Progress func(line string)

// Result is the outcome of applying or undoing one step.
type Result struct {
	Step     string        `json:"step"`
	Changed  bool          `json:"changed"`
	Detail   string        `json:"detail,omitempty"`
	Duration time.Duration `json:"duration"`
	Err      error         `json:"-"`
}

// Observer is notified of each step: Begin is called before the step, Progress while it runs, and End after it.
type Observer interface {
	Begin(step string)
	Progress(line string)
	End(Result)
}

// Up applies, in order, each step whose check is not OK, and reports whether it changed anything. It stops at the first failure
// and does not undo earlier steps, so the next run continues at the step that failed.
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

// apply applies one step and then checks it again, because Apply may return no error although it changed nothing.
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
			err = Remedy(errors.New(state.Detail), state.Remedy)
		}
	}
	if err != nil {
		result.Err = fmt.Errorf("%s: %w", step.Name, err)
	}
	result.Detail, result.Duration = state.Detail, time.Since(start)
	return result
}

// Down undoes the steps, starting with the last. It continues after a failure, so that the remaining steps are undone too, and
// returns all errors.
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
