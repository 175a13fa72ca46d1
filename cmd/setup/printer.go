package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"kind-local-registry/internal/host/step"
)

// printer prints a line for each step. On a terminal, it also shows the progress of the running step.
type printer struct {
	w              io.Writer
	terminal       bool
	quiet, verbose bool
	step           string
}

// clearLine moves the cursor to the start of the line and clears the line (ECMA-48).
const clearLine = "\r\x1b[K"

func (p *printer) to(w io.Writer) { p.w, p.terminal = w, isTerminal(w) }

// waiting prints that setup is waiting for holder, another process that has locked the Docker host.
func (p *printer) waiting(holder string) {
	if !p.quiet {
		p.printf("Waiting for %s, which is changing the same Docker host.\n", holder)
	}
}

// Begin prints the step's name on a terminal, without a newline.
func (p *printer) Begin(step string) {
	p.step = step
	if p.terminal && !p.quiet {
		p.printf("%s… %s", clearLine, step)
	}
}

// Progress prints the step's progress. On a terminal it overwrites the current line, unless --verbose is set; elsewhere it prints
// a new line.
func (p *printer) Progress(line string) {
	switch {
	case p.quiet:
	case p.verbose, !p.terminal:
		p.printf("%s  %-14s %s\n", p.clear(), p.step, line)
	default:
		p.printf("%s… %-14s %s", clearLine, p.step, line)
	}
}

// End prints the step's outcome and detail. If the step changed anything or failed, End also prints how long it took.
func (p *printer) End(result step.Result) {
	if p.quiet {
		return
	}
	outcome := "unchanged"
	if result.Changed || result.Err != nil {
		outcome = seconds(result.Duration)
	}
	detail := result.Detail
	if detail != "" {
		detail += " "
	}
	p.printf("%s%s %-14s %s(%s)\n", p.clear(), mark(p.w, result.Err == nil), result.Step, detail, outcome)
}

func (p *printer) clear() string {
	if p.terminal {
		return clearLine
	}
	return ""
}

// printf prints to the printer's writer. It ignores errors, because setup has to finish even if its terminal is closed.
func (p *printer) printf(format string, args ...any) { _, _ = fmt.Fprintf(p.w, format, args...) }

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// mark returns ✓ or ✗. On a terminal, the mark is green or red unless NO_COLOR is set (no-color.org).
func mark(w io.Writer, ok bool) string {
	sign, color := "✓", "32"
	if !ok {
		sign, color = "✗", "31"
	}
	if os.Getenv("NO_COLOR") != "" || !isTerminal(w) {
		return sign
	}
	return "\x1b[" + color + "m" + sign + "\x1b[0m"
}

// isTerminal reports whether the reader or writer is a terminal.
func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd())) // #nosec G115 -- a file descriptor fits an int
}
