package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"kind-local-registry/webhook/watch"
)

const (
	// redrawEvery is how often a frame is drawn although nothing has changed, because the ages have.
	redrawEvery = time.Second
	// redrawAfter is the minimum time between two frames.
	redrawAfter = 100 * time.Millisecond
)

// The size that is assumed for a terminal that does not report one.
const (
	defaultWidth  = 80
	defaultHeight = 24
)

// watchScreen draws states on a terminal, each over the one before. It leaves the terminal's settings and the cursor as they are, so
// there is nothing to restore, even if the process is killed.
type watchScreen struct {
	w       io.Writer
	cluster string
	states  chan watch.State
	ended   sync.WaitGroup

	drawn []int // the widths of the lines of the last frame
}

// newWatchScreen returns a screen that draws on w.
func newWatchScreen(w io.Writer, cluster string) *watchScreen {
	s := &watchScreen{w: w, cluster: cluster, states: make(chan watch.State, 1)}
	s.ended.Go(s.run)
	return s
}

// show implements watchView.
func (s *watchScreen) show(state watch.State) {
	select {
	case <-s.states: // a state that has not been drawn
	default:
	}
	s.states <- state
}

// close draws the last state, which remains on the terminal.
func (s *watchScreen) close() {
	close(s.states)
	s.ended.Wait()
}

// run draws until the channel of states is closed.
func (s *watchScreen) run() {
	var state watch.State
	tick := time.NewTicker(redrawEvery)
	defer tick.Stop()
	for open := true; open; {
		select {
		case next, more := <-s.states:
			if open = more; more {
				state = next
				time.Sleep(redrawAfter) // more changes may follow
			}
		case <-tick.C:
		}
		s.draw(state)
	}
}

// draw draws a state over the last one.
func (s *watchScreen) draw(state watch.State) {
	width, height := sizeOf(s.w)
	frame := watchFrame{width: width, height: height, now: time.Now(), cluster: s.cluster}
	_, _ = io.WriteString(s.w, s.paint(frame.render(state), width)) // the terminal may be closed
}

// paint returns the control sequences (ECMA-48) that replace the last frame with the lines. The cursor remains below them. If the
// terminal has become narrower, a line of the last frame may occupy several rows.
func (s *watchScreen) paint(lines []watchLine, width int) string {
	var out strings.Builder
	rows := 0
	for _, drawn := range s.drawn {
		rows += max(1, (drawn+width-1)/width)
	}
	if rows > 0 {
		fmt.Fprintf(&out, "\x1b[%dA", rows)
	}
	s.drawn = s.drawn[:0]
	for _, line := range lines {
		out.WriteString(clearLine + line.text)
		if line.state != "" && line.color != "" {
			out.WriteString(colored(s.w, line.state, line.color))
		} else {
			out.WriteString(line.state)
		}
		out.WriteString("\n")
		s.drawn = append(s.drawn, line.width())
	}
	out.WriteString("\r\x1b[J")
	return out.String()
}

// sizeOf returns the terminal's size in characters.
func sizeOf(w io.Writer) (width, height int) {
	if file, ok := w.(*os.File); ok {
		width, height, err := term.GetSize(int(file.Fd())) // #nosec G115 -- a file descriptor fits an int
		if err == nil && width > 0 && height > 0 {
			return width, height
		}
	}
	return defaultWidth, defaultHeight
}
