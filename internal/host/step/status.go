package step

import "context"

// Status is the state of a step with its name, as setup status prints it.
type Status struct {
	Step string `json:"step"`
	State
}

// CheckAll checks every step. A step that cannot be checked is not OK and has the error as its detail.
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
