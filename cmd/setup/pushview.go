package main

import (
	"io"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"kind-local-registry/internal/host/images"
	"kind-local-registry/internal/push"
)

// pushView shows the progress of running pushes, and passes their outcomes to results. It is safe for concurrent use.
type pushView struct {
	output  *printer
	results *pushResults

	mu     sync.Mutex
	states map[int]*pushState
	lines  map[int]time.Time // when each image's last line was printed
	bars   map[int]*mpb.Bar
	screen *mpb.Progress // draws the bars; nil to print lines instead
}

// newPushView returns a view that draws bars on a terminal, and prints lines elsewhere or with --verbose.
func newPushView(output *printer, results *pushResults) *pushView {
	v := &pushView{
		output: output, results: results,
		states: map[int]*pushState{}, lines: map[int]time.Time{}, bars: map[int]*mpb.Bar{},
	}
	if output.overwrites() && !output.quiet {
		v.screen = mpb.New(mpb.WithOutput(v.barsOn()), mpb.WithAutoRefresh())
	}
	return v
}

// barsOn returns the stream on which bars are drawn. If the results are printed on a terminal, the bars are drawn there too,
// because the same library must print both.
func (v *pushView) barsOn() io.Writer {
	if v.results.format == "" && isTerminal(v.results.w) {
		return v.results.w
	}
	return v.output.w
}

// Pushing shows the progress of an image.
func (v *pushView) Pushing(image int, now push.Progress) {
	if v.output.quiet {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	state := v.states[image]
	if state == nil {
		state = &pushState{}
		v.states[image] = state
	}
	took := state.update(now, time.Now())
	if v.screen == nil {
		v.line(image, state, took)
		return
	}
	bar := v.bars[image]
	if bar == nil {
		bar = v.bar(image, state)
		v.bars[image] = bar
	}
	bar.SetTotal(now.Total, false)
	bar.SetCurrent(now.Bytes)
}

// line prints a line about the image, unless the push has just begun or the last line is too recent.
func (v *pushView) line(image int, state *pushState, took time.Duration) {
	at := time.Now()
	after, every := v.output.pace()
	last, printed := v.lines[image]
	if took < after || printed && at.Sub(last) < every {
		return
	}
	v.lines[image] = at
	v.output.printf("  %s  %s\n", v.results.pad(v.results.images[image]), state.text())
}

// bar adds a bar for the image, below the bars of earlier images. Drawing the bar locks state, so the caller must not hold that
// lock.
func (v *pushView) bar(image int, state *pushState) *mpb.Bar {
	// A bar that is created with a total of 0 does not complete by itself.
	return v.screen.New(0, mpb.BarStyle().Padding(" "), mpb.BarPriority(image), mpb.BarWidth(24),
		mpb.PrependDecorators(decor.Name("… "+v.results.pad(v.results.images[image])+" ")),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return " " + state.text() })))
}

// Pushed replaces the image's bar with a line about its outcome, once all earlier images have a line.
func (v *pushView) Pushed(image int, pushed images.Pushed) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if state := v.states[image]; state != nil {
		state.finish(pushed.Err == nil)
	}
	if v.output.verbose && pushed.Err == nil {
		for _, line := range nodeLines(pushed.Nodes) {
			v.output.printf("  %s  %s\n", v.results.pad(v.results.images[image]), line)
		}
	}
	w := v.results.w
	if v.screen != nil && isTerminal(w) {
		w = v.screen
	}
	through := v.results.add(w, image, pushed)
	for other, bar := range v.bars {
		if other < through {
			bar.Abort(true)
		}
	}
}

// drop removes the bars of images without an outcome.
func (v *pushView) drop() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, bar := range v.bars {
		bar.Abort(true)
	}
}

// close waits until all bars are removed.
func (v *pushView) close() {
	if v.screen != nil {
		v.screen.Wait()
	}
}
