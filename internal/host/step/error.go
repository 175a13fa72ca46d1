package step

import (
	"errors"
	"fmt"
)

// ErrMissing reports that an earlier step was not applied yet. Checks return it as a state, not as an error.
var ErrMissing = errors.New("does not exist yet")

// Remedy adds what the user can do about err; "" adds nothing.
func Remedy(err error, advice string) error {
	if advice == "" {
		return err
	}
	return fmt.Errorf("%w; %s", err, advice)
}

// Count returns a number of things: 1 node, 2 nodes.
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
