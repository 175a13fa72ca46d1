package step

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Status is a step's name and state, which setup status prints.
type Status struct {
	Step string
	State
	// Duration is how long the check took.
	Duration time.Duration
}

// CheckObserver is notified of each check: Begin is called before the check, and Checked after it.
type CheckObserver interface {
	Begin(step string)
	Checked(Status)
}

// Verify returns an error if the step's check fails.
func Verify(ctx context.Context, step Step) error {
	state, err := step.Check(ctx)
	if err == nil && !state.OK {
		err = errors.New(state.Detail)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", step.Name, err)
	}
	return nil
}

// CheckAll checks every step. If a check fails with an error, the step is not OK and its detail is the error.
func CheckAll(ctx context.Context, steps []Step, observer CheckObserver) []Status {
	all := make([]Status, 0, len(steps))
	for _, step := range steps {
		observer.Begin(step.Name)
		start := time.Now()
		state, err := step.Check(ctx)
		if err != nil {
			state = State{Detail: err.Error()}
		}
		if !state.OK {
			state.Remedy = state.Advice()
		}
		status := Status{Step: step.Name, State: state, Duration: time.Since(start)}
		all = append(all, status)
		observer.Checked(status)
	}
	return all
}
