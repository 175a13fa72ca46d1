package archive

import "fmt"

// Fault is an error of the archive itself. Reading it again cannot succeed.
type Fault struct {
	// Entry is the entry that is wrong; "" for the archive as a whole.
	Entry string
	// Problem says what is wrong with it.
	Problem string
	// Remedy says what the user can do; "" if the archive must be made again.
	Remedy string
}

// Error returns the entry and the problem.
func (f *Fault) Error() string {
	if f.Entry == "" {
		return f.Problem
	}
	return f.Entry + ": " + f.Problem
}

// faultf returns a fault of an entry.
func faultf(entry, format string, args ...any) error {
	return &Fault{Entry: entry, Problem: fmt.Sprintf(format, args...)}
}
