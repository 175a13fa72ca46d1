package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"kind-local-registry/internal/host/report"
	"kind-local-registry/internal/push"
	"kind-local-registry/internal/pusher"
	"kind-local-registry/webhook/watch"
)

// noon is when the states of the tests are drawn.
var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

// before returns the time that long before noon.
func before(long time.Duration) time.Time { return noon.Add(-long) }

// watchedImage returns an image with an event.
func watchedImage(name string, ago time.Duration, event pusher.Event) watch.Image {
	event.Name, event.Time = name, before(ago)
	return watch.Image{Name: name, Event: event}
}

// someState returns a state with an image in every state, and a pod in every state.
func someState() watch.State {
	pushing := &push.Progress{Bytes: 31_200_000, Total: 72_500_000}
	state := watch.State{
		Pusher: watch.Connection{Connected: true}, Cluster: watch.Connection{Connected: true},
		Images: []watch.Image{
			watchedImage("example/api:dev", 70*time.Second, pusher.Event{Kind: pusher.EventAvailable, ImageID: someDigest, Digest: someDigest}),
			watchedImage("example/app:local", 2*time.Second, pusher.Event{Kind: pusher.EventPushing, ImageID: someDigest, Progress: pushing}),
			watchedImage("example/job:1", 3*time.Second, pusher.Event{Kind: pusher.EventPushing, Progress: &push.Progress{}}),
			watchedImage("example/new:local", 5*time.Minute, pusher.Event{Kind: pusher.EventBuilt, ImageID: someDigest}),
			watchedImage("example/web:1", time.Hour, pusher.Event{Kind: pusher.EventFailed, Error: "NoSpace: the registry's disk is full"}),
		},
	}
	add := func(name, image string, ago time.Duration, pod watch.Pod) {
		pod.Namespace, pod.Name, pod.Image, pod.Created = "default", name, image, before(ago)
		state.Pods = append(state.Pods, pod)
	}
	add("api-0", "example/api:dev", time.Hour, watch.Pod{State: watch.Running, Digest: someDigest.String()})
	add("app-1", "example/app:local", 2*time.Second, watch.Pod{State: watch.WaitingForPush, Progress: pushing})
	add("app-2", "example/app:local", 3*24*time.Hour, watch.Pod{State: watch.Stale})
	add("app-3", "example/app:local", time.Minute, watch.Pod{State: watch.Stopping, Rollout: true})
	add("app-4", "example/app:local", time.Second, watch.Pod{State: watch.Starting, Rollout: true})
	add("crash", "example/crash:1", time.Hour, watch.Pod{State: watch.Crashing, Detail: "CrashLoopBackOff (OOMKilled)"})
	add("job-1", "example/job:1", 5*time.Second, watch.Pod{State: watch.Ended, Detail: "Succeeded"})
	add("large", "example/api:dev", 90*time.Second, watch.Pod{State: watch.Pending, Detail: "0/2 nodes are available: insufficient memory"})
	add("typo", "example/helo:local", time.Minute, watch.Pod{
		State: watch.CannotPull, Detail: "Back-off pulling image \"example/helo:local\":\nnot found\x1b[31m",
	})
	add("web-1", "example/web:1", time.Minute, watch.Pod{State: watch.NotReady})
	return state
}

// text returns the lines of a frame, and checks that they fit the terminal.
func text(t *testing.T, frame watchFrame, state watch.State) string {
	t.Helper()
	lines := frame.render(state)
	if len(lines) >= frame.height {
		t.Errorf("%d lines on a terminal with %d rows, want one row free for the cursor", len(lines), frame.height)
	}
	var out strings.Builder
	for _, line := range lines {
		if line.width() > frame.width {
			t.Errorf("line %q has %d characters, want at most %d", line.text+line.state, line.width(), frame.width)
		}
		out.WriteString(strings.TrimRight(line.text+line.state, " ") + "\n")
	}
	return out.String()
}

func TestWatchFrame_MatchesGoldenFiles(t *testing.T) { // not parallel: with -update, it writes files
	lost := someState()
	lost.Pusher = watch.Connection{Err: errors.New("dial tcp 127.0.0.1:32768: connection refused")}
	lost.Cluster = watch.Connection{}
	var got strings.Builder
	for _, test := range []struct {
		title         string
		width, height int
		state         watch.State
	}{
		{"A wide terminal", 120, 40, someState()},
		{"A small terminal", 80, 14, someState()},
		{"A tiny terminal", 30, 6, someState()},
		{"Nothing yet", 80, 24, watch.State{Pusher: someState().Pusher, Cluster: someState().Cluster}},
		{"Lost connections", 80, 10, lost},
	} {
		frame := watchFrame{width: test.width, height: test.height, now: noon, cluster: "dev"}
		fmt.Fprintf(&got, "# %s: %d x %d\n\n%s\n", test.title, test.width, test.height, text(t, frame, test.state))
	}
	compareGolden(t, "watch.txt", got.String())
}

func TestWatchFrame_FitsEveryTerminal(t *testing.T) {
	t.Parallel()
	for width := 1; width < 130; width += 3 {
		for height := 2; height < 40; height++ {
			text(t, watchFrame{width: width, height: height, now: noon, cluster: "dev"}, someState())
		}
	}
}

func TestWatchLines_MatchGoldenFiles(t *testing.T) { // not parallel: with -update, it writes files
	known := someState()
	lost := known
	lost.Pusher, lost.Pods = watch.Connection{Err: errors.New("dial tcp 127.0.0.1:32768: connection refused")}, known.Pods[1:]
	changes := append(watch.Changes(watch.State{}, known), watch.Changes(known, lost)...)
	for name, line := range map[string]func(time.Time, watch.Change) string{"watch-lines.txt": plainChange, "watch.ndjson": jsonChange} {
		var got strings.Builder
		for _, change := range changes {
			got.WriteString(line(noon, change))
		}
		compareGolden(t, name, got.String())
	}
}

func TestWatchLines_DecodeIntoTheirType(t *testing.T) {
	t.Parallel()
	for _, change := range watch.Changes(watch.State{}, someState()) {
		line := jsonChange(noon, change)
		var document report.Watched
		decoder := json.NewDecoder(strings.NewReader(line))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&document); err != nil {
			t.Errorf("decoding %s: %v", line, err)
		}
		if diff := cmp.Diff(newWatched(noon, change), document); diff != "" || strings.Count(line, "\n") != 1 {
			t.Errorf("%s decoded (-want +got):\n%s", line, diff)
		}
	}
}

func TestWatchLines_PaceTheProgressOfPushes(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	lines := newWatchLines(&out, plainChange, 2*time.Second, 5*time.Second)
	for i := range 40 { // one event in 250 ms, for ten seconds
		state := watch.State{Images: []watch.Image{{Name: "a:1", Event: pusher.Event{
			Kind: pusher.EventPushing, Time: noon.Add(time.Duration(i) * 250 * time.Millisecond), Progress: &push.Progress{Bytes: int64(i), Total: 40},
		}}}}
		lines.show(state)
	}
	lines.show(watch.State{Images: []watch.Image{watchedImage("a:1", 0, pusher.Event{Kind: pusher.EventAvailable})}})
	var got []string
	for line := range strings.Lines(out.String()) {
		_, what, _ := strings.Cut(line, " ")
		got = append(got, what)
	}
	want := []string{"image a:1 pushing 20 %, 8 B of 40 B\n", "image a:1 pushing 70 %, 28 B of 40 B\n", "image a:1 available -\n"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines about a push (-want +got):\n%s", diff)
	}
}

// terminal is what is visible on a terminal of that width, with the position of the cursor.
type terminal struct {
	width, row, column int
	rows               [][]rune
}

// write shows text with the control sequences that paint uses.
func (s *terminal) write(text string) {
	for text != "" {
		r, size := utf8.DecodeRuneInString(text)
		text = text[size:]
		switch r {
		case '\r':
			s.column = 0
		case '\n':
			s.row, s.column = s.row+1, 0
		case '\x1b':
			end := strings.IndexAny(text, "AJKm")
			s.control(text[end], text[1:end])
			text = text[end+1:]
		default:
			if s.column == s.width {
				s.row, s.column = s.row+1, 0
			}
			s.at(s.row, s.column)[s.column] = r
			s.column++
		}
	}
}

// control executes a control sequence.
func (s *terminal) control(final byte, parameter string) {
	switch final {
	case 'A':
		var up int
		_, _ = fmt.Sscan(parameter, &up)
		s.row = max(0, s.row-up)
	case 'K':
		s.at(s.row, s.column)
		s.rows[s.row] = s.rows[s.row][:s.column]
	case 'J':
		s.at(s.row, s.column)
		s.rows = s.rows[:s.row]
	}
}

// at returns the row, extended to the column.
func (s *terminal) at(row, column int) []rune {
	for len(s.rows) <= row {
		s.rows = append(s.rows, nil)
	}
	for len(s.rows[row]) <= column {
		s.rows[row] = append(s.rows[row], ' ')
	}
	return s.rows[row]
}

// String returns the visible text.
func (s *terminal) String() string {
	var out strings.Builder
	for _, row := range s.rows {
		out.WriteString(strings.TrimRight(string(row), " ") + "\n")
	}
	return out.String()
}

func TestWatchScreen_DrawsEachFrameOverTheLast(t *testing.T) {
	t.Parallel()
	shown, s := &terminal{width: 40}, &watchScreen{}
	shown.write("$ setup watch\n")
	for _, frame := range [][]watchLine{
		{{text: "first"}, {text: "second ", state: "runs", color: green}, {text: "third"}},
		{{text: "1"}, {}, {text: "3"}, {text: "4"}},
		{{text: "last"}},
	} {
		shown.write(s.paint(frame, shown.width))
		want := "$ setup watch\n"
		for _, line := range frame {
			want += line.text + line.state + "\n"
		}
		if diff := cmp.Diff(want, shown.String()); diff != "" {
			t.Errorf("terminal (-want +got):\n%s", diff)
		}
	}
}

func TestWatchScreen_KeepsItsPlaceOnANarrowerTerminal(t *testing.T) {
	t.Parallel()
	s := &watchScreen{}
	s.paint([]watchLine{{text: strings.Repeat("x", 80)}, {}}, 80)
	if got, want := s.paint(nil, 30), "\x1b[4A"; !strings.HasPrefix(got, want) {
		t.Errorf("sequences after the terminal became narrower = %q, want %q first: the line occupies 3 rows", got, want)
	}
}

func TestWatchScreen_ChangesNoTerminalModes(t *testing.T) {
	t.Parallel()
	if got := (&watchScreen{}).paint([]watchLine{{text: "a", state: "b", color: red}}, 80); strings.Contains(got, "\x1b[?") {
		t.Errorf("control sequences = %q, want none that must be undone", got)
	}
}

func TestEnd_SucceedsForAnInterruptedEndlessCommand(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		err    error
		status int
	}{{"an interrupted", nil, 0}, {"a failed", errors.New("no cluster"), 130}} {
		var stderr bytes.Buffer
		caught := &interrupts{stderr: &stderr}
		caught.first.Store(130)
		command := &cobra.Command{Annotations: map[string]string{endless: "true"}}
		if got := caught.end(command, test.err); got != test.status {
			t.Errorf("status of %s endless command = %d, want %d", test.name, got, test.status)
		}
	}
}
