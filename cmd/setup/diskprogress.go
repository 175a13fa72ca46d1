package main

import (
	"fmt"
	"time"

	"kind-local-registry/internal/disk"
)

// diskProgress prints what a command about disk space is doing. On a terminal it overwrites one line. Elsewhere it prints the first
// line after linesAfter, and then one every linesEvery.
type diskProgress struct {
	output      *printer
	begun, last time.Time
}

// newDiskProgress returns the progress of a command that begins now.
func newDiskProgress(output *printer) *diskProgress {
	return &diskProgress{output: output, begun: time.Now()}
}

// step prints a step.
func (p *diskProgress) step(now disk.Step) {
	if p.output.quiet || now.Text == "" {
		return
	}
	text := now.Text + p.amount(now)
	if p.output.overwrites() {
		p.output.printf("%s… %s", clearLine, text)
		return
	}
	at := time.Now()
	after, every := p.output.pace()
	if at.Sub(p.begun) < after || !p.last.IsZero() && at.Sub(p.last) < every {
		return
	}
	p.last = at
	p.output.printf("  %s\n", text)
}

// amount describes how much of a step is done, and how long the rest will take.
func (p *diskProgress) amount(now disk.Step) string {
	if now.Total == 0 {
		return ""
	}
	text := fmt.Sprintf(": %s of %s", humanSize(now.Bytes), humanSize(now.Total))
	if took := time.Since(p.begun); now.Bytes > 0 && took > linesAfter {
		left := time.Duration(float64(took) * float64(now.Total-now.Bytes) / float64(now.Bytes))
		text += fmt.Sprintf(", %s left", left.Round(time.Second))
	}
	return text
}

// end removes the line that is overwritten.
func (p *diskProgress) end() {
	if !p.output.quiet {
		p.output.printf("%s", p.output.clear())
	}
}
