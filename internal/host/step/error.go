package step

import (
	"errors"
	"fmt"
)

// ErrMissing means that an earlier step has not been applied yet. Checks report it as a state and not as an error.
var ErrMissing = errors.New("does not exist yet")

// Remedy adds to err what the user can do about it. If advice is "", it returns err unchanged.
func Remedy(err error, advice string) error {
	if advice == "" {
		return err
	}
	return fmt.Errorf("%w; %s", err, advice)
}

// Count formats a number with its noun, such as "1 node" or "2 nodes".
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
