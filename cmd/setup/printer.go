package main

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"kind-local-registry/internal/host/step"
)

const (
	// beatEvery is how often the running step's line shows how long the step has been running.
	beatEvery = time.Second
	// beatAfter is how long a step runs before its line shows that.
	beatAfter = 2 * time.Second
	// lineEvery is how often a line says that the step is still running, if lines are not overwritten.
	lineEvery = 10 * time.Second
)

// If a command prints lines about how much is done, the first one is printed after linesAfter, and then one every linesEvery. With
// --verbose, the first line is printed immediately, and then one every verboseLinesEvery.
const (
	linesAfter        = 2 * time.Second
	linesEvery        = 5 * time.Second
	verboseLinesEvery = time.Second
)

// printer prints a line for each step. On a terminal, it also shows the progress of the running step. It is safe for concurrent
// use.
type printer struct {
	w              io.Writer
	terminal       bool // lines can be overwritten
	quiet, verbose bool

	mu          sync.Mutex
	step, line  string      // the running step and its progress
	begun, last time.Time   // when the step began, and when the last line about it was printed
	beat        *time.Timer // nil if no step is running
	results     []step.Result
}

// clearLine moves the cursor to the start of the line and clears the line (ECMA-48).
const clearLine = "\r\x1b[K"

// addFlags adds the flags that all commands have.
func (p *printer) addFlags(root *cobra.Command) {
	flags := root.PersistentFlags()
	flags.BoolVarP(&p.quiet, "quiet", "q", false, "print only errors, questions, and what -o asks for")
	flags.BoolVarP(&p.verbose, "verbose", "v", false, "print every line of progress, with times")
}

// open sets the writer. It returns an error if the flags contradict each other.
func (p *printer) open(w io.Writer) error {
	p.w, p.terminal = w, isTerminal(w)
	if p.quiet && p.verbose {
		return errors.New("--quiet and --verbose contradict each other: give one of them")
	}
	return nil
}

// overwrites reports whether the running step's line is overwritten.
func (p *printer) overwrites() bool { return p.terminal && !p.verbose }

// pace returns how long a command runs before it prints a line about how much is done, and how often it then prints one.
func (p *printer) pace() (after, every time.Duration) {
	if p.verbose {
		return 0, verboseLinesEvery
	}
	return linesAfter, linesEvery
}

// waiting prints that setup is waiting for holder, another process that has locked the Docker host.
func (p *printer) waiting(holder string) {
	if !p.quiet {
		p.printf("Waiting for %s, which is changing the same Docker host.\n", holder)
	}
}

// Begin shows the step's name on a terminal. While the step runs, it also shows for how long.
func (p *printer) Begin(step string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stop() // of a step that had no end
	now := time.Now()
	p.step, p.line, p.begun, p.last = step, "", now, now
	if p.quiet {
		return
	}
	p.draw()
	p.beat = time.AfterFunc(beatEvery, p.tick)
}

// draw overwrites the running step's line on a terminal.
func (p *printer) draw() {
	if !p.overwrites() {
		return
	}
	line := fmt.Sprintf("… %-14s %s", p.step, p.line)
	if running := time.Since(p.begun); running >= beatAfter {
		line += fmt.Sprintf(" (%.0f s)", running.Seconds())
	}
	p.printf("%s%s", clearLine, line)
}

// tick shows that the step is still running.
func (p *printer) tick() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.beat == nil {
		return
	}
	p.draw()
	if !p.overwrites() && time.Since(p.last) >= lineEvery {
		p.last = time.Now()
		p.printf("  %-14s still running after %.0f s\n", p.step, time.Since(p.begun).Seconds())
	}
	p.beat.Reset(beatEvery)
}

// Progress prints the step's progress. On a terminal it overwrites the current line, unless --verbose is set; elsewhere it prints
// a new line.
func (p *printer) Progress(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.line, p.last = line, time.Now()
	switch {
	case p.quiet:
	case p.overwrites():
		p.draw()
	case p.verbose:
		p.printf("  %-14s %s (after %s)\n", p.step, line, seconds(time.Since(p.begun)))
	default:
		p.printf("  %-14s %s\n", p.step, line)
	}
}

// End prints the step's outcome and detail. If the step changed anything or failed, or with --verbose, End also prints how long it
// took.
func (p *printer) End(result step.Result) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.results = append(p.results, result)
	p.stop()
	if p.quiet {
		return
	}
	outcome := "unchanged"
	if result.Changed || result.Err != nil {
		outcome = seconds(result.Duration)
	} else if p.verbose {
		outcome += ", " + seconds(result.Duration)
	}
	detail := result.Detail
	if detail != "" {
		detail += " "
	}
	p.printf("%s%s %-14s %s(%s)\n", p.clear(), mark(p.w, result.Err == nil), result.Step, detail, outcome)
}

// Checked ends the line of a check, whose outcome is printed later. With --verbose, it prints how long the check took.
func (p *printer) Checked(status step.Status) {
	p.done()
	if p.verbose {
		p.printf("  %-14s checked in %s\n", status.Step, seconds(status.Duration))
	}
}

// done ends a step that has no outcome.
func (p *printer) done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stop()
	if !p.quiet {
		p.printf("%s", p.clear())
	}
}

// stop ends the running step.
func (p *printer) stop() {
	if p.beat != nil {
		p.beat.Stop()
		p.beat = nil
	}
}

// clear returns what clears the running step's line.
func (p *printer) clear() string {
	if p.overwrites() {
		return clearLine
	}
	return ""
}

// printf prints to the printer's writer. It ignores errors, because setup has to finish even if its terminal is closed.
func (p *printer) printf(format string, args ...any) { _, _ = fmt.Fprintf(p.w, format, args...) }

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
