package step

import (
	"context"
	"errors"
	"fmt"
)

// Status is a step's name and state, which setup status prints.
type Status struct {
	Step string `json:"step"`
	State
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
func CheckAll(ctx context.Context, steps []Step) []Status {
	all := make([]Status, 0, len(steps))
	for _, step := range steps {
		state, err := step.Check(ctx)
		if err != nil {
			state = State{Detail: err.Error()}
		}
		if !state.OK {
			state.Remedy = state.Advice()
		}
		all = append(all, Status{Step: step.Name, State: state})
	}
	return all
}
