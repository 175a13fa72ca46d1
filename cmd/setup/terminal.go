package main

import (
	"os"

	"golang.org/x/term"
)

// mark returns ✓ or ✗. On a terminal, the mark is green or red unless NO_COLOR is set (no-color.org).
func mark(w any, ok bool) string {
	if ok {
		return colored(w, "✓", green)
	}
	return colored(w, "✗", red)
}

// The colors that setup uses (ECMA-48, SGR).
const (
	red    = "31"
	green  = "32"
	yellow = "33"
)

// colored returns the text in the color, if w is a terminal and NO_COLOR is not set.
func colored(w any, text, color string) string {
	if os.Getenv("NO_COLOR") != "" || !isTerminal(w) {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// isTerminal reports whether the reader or writer is a terminal that understands control sequences.
func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(file.Fd())) // #nosec G115 -- a file descriptor fits an int
}

// canAnswer reports whether a person can answer a question on the reader.
func canAnswer(in any) bool {
	file, ok := in.(*os.File)
	return ok && term.IsTerminal(int(file.Fd())) // #nosec G115 -- a file descriptor fits an int
}
