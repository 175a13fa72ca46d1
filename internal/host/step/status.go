package step

import "context"

// Status is a step's name and state, which setup status prints.
type Status struct {
	Step string `json:"step"`
	State
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
