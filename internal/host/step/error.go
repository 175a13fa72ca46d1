package step

import (
	"errors"
	"fmt"
)

// ErrMissing means that an earlier step has not been applied yet. Checks report it as a state and not as an error.
var ErrMissing = errors.New("does not exist yet")

// remedied is an error with what the user can do about it.
type remedied struct {
	err    error
	advice string
}

func (r *remedied) Error() string { return r.err.Error() + "; " + r.advice }
func (r *remedied) Unwrap() error { return r.err }

// Remedy adds to err what the user can do about it. If advice is "", it returns err unchanged.
func Remedy(err error, advice string) error {
	if advice == "" {
		return err
	}
	return &remedied{err, advice}
}

// OrRemedy adds the advice to err, unless err already has a remedy or is nil.
func OrRemedy(err error, advice string) error {
	if _, found := errors.AsType[*remedied](err); found || err == nil {
		return err
	}
	return Remedy(err, advice)
}

// SplitRemedy returns an error's text without the advice that Remedy added, and the advice. If there is none, the advice is "".
func SplitRemedy(err error) (fault, advice string) {
	switch one := err.(type) { //nolint:errorlint // the error itself, not one that it wraps
	case *remedied:
		return one.err.Error(), one.advice
	case interface{ Unwrap() []error }:
		if joined := one.Unwrap(); len(joined) == 1 {
			return SplitRemedy(joined[0])
		}
	}
	return err.Error(), ""
}

// Count formats a number with its noun, such as "1 node" or "2 nodes".
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
