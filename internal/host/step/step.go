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
	// Foreign lists what Apply would change although setup did not create it. It changes nothing. A nil Foreign means that the step
	// changes only what setup created.
	Foreign func(context.Context) ([]Change, error)
	// Undo removes only what Apply created. It returns a short description of what it did. It succeeds if there is nothing to
	// remove.
	Undo func(context.Context) (string, error)
	// Plan lists what Undo would do, and what it would keep. It changes nothing. A nil Plan means that there is nothing to list.
	Plan func(context.Context) ([]Change, error)
}

// State is the state of one step.
type State struct {
	// OK means that there is nothing to do.
	OK bool
	// Detail briefly describes what was found.
	Detail string
	// Remedy tells the user what to do if the state is not OK. "" means: run setup up.
	Remedy string
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
	Step     string
	Changed  bool
	Detail   string
	Duration time.Duration
	Err      error
}

// Observer is notified of each step: Begin is called before the step, Progress while it runs, and End after it.
type Observer interface {
	Begin(step string)
	Progress(line string)
	End(Result)
}

// Up applies, in order, each step whose check is not OK, and reports whether it changed anything. It stops at the first failure,
// and before the next step if ctx has ended. It does not undo earlier steps, so the next run continues where this one stopped.
func Up(ctx context.Context, steps []Step, observer Observer) (changed bool, err error) {
	for _, step := range steps {
		if err := ctx.Err(); err != nil {
			return changed, err
		}
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
// returns all errors. It stops before the next step if ctx has ended.
func Down(ctx context.Context, steps []Step, observer Observer) error {
	var failed []error
	for _, step := range slices.Backward(steps) {
		if step.Undo == nil {
			continue
		}
		if err := ctx.Err(); err != nil {
			return errors.Join(append(failed, err)...)
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
