package host

import "context"

// Piece is how one step stands, for a person or a script.
type Piece struct {
	Step string `json:"step"`
	State
}

// Status checks every step. One that could not be told is not OK, and says why.
func Status(ctx context.Context, steps []Step) []Piece {
	pieces := make([]Piece, 0, len(steps))
	for _, step := range steps {
		state, err := step.Check(ctx)
		if err != nil {
			state = State{Detail: err.Error()}
		}
		if !state.OK {
			state.Remedy = state.advice()
		}
		pieces = append(pieces, Piece{Step: step.Name, State: state})
	}
	return pieces
}
