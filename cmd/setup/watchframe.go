package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/util/duration"

	"kind-local-registry/internal/host/step"
	"kind-local-registry/internal/push"
	"kind-local-registry/internal/pusher"
	"kind-local-registry/webhook/watch"
)

// The widths of columns, in characters.
const (
	ageWidth   = 7
	stateWidth = 34 // at least, if the terminal is wide enough
	barWidth   = 20
	nameWidth  = 12 // at least
)

// watchFrame describes the terminal on which a state is drawn.
type watchFrame struct {
	width, height int
	now           time.Time
	cluster       string
}

// watchLine is a line of a frame: a text, followed by a text in a color. Neither contains control sequences.
type watchLine struct{ text, state, color string }

// width returns how many characters the line has.
func (l watchLine) width() int { return utf8.RuneCountInString(l.text + l.state) }

// render returns the lines that show the state. They fit the terminal, with one line left for the cursor.
func (f watchFrame) render(state watch.State) []watchLine {
	lines := []watchLine{{text: f.headline(state)}}
	for _, source := range []struct {
		name string
		now  watch.Connection
	}{{"pusher", state.Pusher}, {"cluster", state.Cluster}} {
		if !source.now.Connected {
			lines = append(lines, watchLine{text: source.name + ": ", state: connectionText(source.now), color: red})
		}
	}
	images, pods := f.images(state.Images), f.pods(state.Pods)
	left := max(0, f.height-1-len(lines)-2) // each table has an empty line above it
	forImages := min(len(images), max(left/3, left-len(pods)))
	lines = append(append(lines, watchLine{}), limit(images, forImages)...)
	lines = append(append(lines, watchLine{}), limit(pods, left-forImages)...)
	lines = lines[:min(len(lines), max(1, f.height-1))]
	for i := range lines {
		lines[i] = f.fit(lines[i])
	}
	return lines
}

// headline returns the first line.
func (f watchFrame) headline(state watch.State) string {
	texts := []string{step.Count(len(state.Pods), "pod")}
	for _, counted := range []struct {
		state watch.PodState
		noun  string
	}{{watch.CannotPull, "cannot pull"}, {watch.WaitingForPush, "waiting"}, {watch.Stale, "stale"}, {watch.Starting, "starting"}} {
		count := 0
		for _, pod := range state.Pods {
			if pod.State == counted.state {
				count++
			}
		}
		if count > 0 {
			texts = append(texts, fmt.Sprintf("%d %s", count, counted.noun))
		}
	}
	return fmt.Sprintf("kind cluster %s: %s (Ctrl-C ends)", f.cluster, strings.Join(texts, ", "))
}

// images returns the table of images, those with the latest events first.
func (f watchFrame) images(images []watch.Image) []watchLine {
	if len(images) == 0 {
		return []watchLine{{text: "no builds or pushes yet"}}
	}
	images = slices.SortedStableFunc(slices.Values(images), func(a, b watch.Image) int { return b.Event.Time.Compare(a.Event.Time) })
	names := make([]string, 0, len(images))
	for _, image := range images {
		names = append(names, image.Name)
	}
	width := columnWidth("IMAGE", names, f.width-ageWidth-stateWidth)
	lines := []watchLine{{text: pad("IMAGE", width) + pad("AGE", ageWidth) + "STATE"}}
	for _, image := range images {
		lines = append(lines, watchLine{
			text: pad(image.Name, width) + pad(f.age(image.Event.Time), ageWidth), state: bar(image.Event) + imageText(image),
			color: imageColor(image.Event.Kind),
		})
	}
	return lines
}

// pods returns the table of pods, those that need attention first.
func (f watchFrame) pods(pods []watch.Pod) []watchLine {
	if len(pods) == 0 {
		return []watchLine{{text: "no pods run images of the host"}}
	}
	pods = slices.SortedStableFunc(slices.Values(pods), func(a, b watch.Pod) int {
		return cmp.Compare(slices.Index(byUrgency, a.State), slices.Index(byUrgency, b.State))
	})
	names, images := make([]string, 0, len(pods)), make([]string, 0, len(pods))
	for _, pod := range pods {
		names, images = append(names, pod.Namespace+"/"+pod.Name), append(images, pod.Image)
	}
	both := f.width - ageWidth - stateWidth
	width := columnWidth("POD", names, both/2)
	imageWidth := columnWidth("IMAGE", images, both-width)
	lines := []watchLine{{text: pad("POD", width) + pad("IMAGE", imageWidth) + pad("AGE", ageWidth) + "STATE"}}
	for i, pod := range pods {
		lines = append(lines, watchLine{
			text:  pad(names[i], width) + pad(images[i], imageWidth) + pad(f.age(pod.Created), ageWidth),
			state: podText(pod), color: podColor(pod.State),
		})
	}
	return lines
}

// byUrgency contains the states of pods, those that need attention first.
var byUrgency = []watch.PodState{
	watch.CannotPull, watch.Crashing, watch.WaitingForPush, watch.Stale, watch.Pending, watch.Starting, watch.NotReady, watch.Stopping,
	watch.Running, watch.Ended,
}

// podColor returns the color of a pod's state.
func podColor(state watch.PodState) string {
	switch state {
	case watch.CannotPull, watch.Crashing:
		return red
	case watch.WaitingForPush, watch.Stale:
		return yellow
	case watch.Running:
		return green
	}
	return ""
}

// imageColor returns the color of an image's state.
func imageColor(kind pusher.EventKind) string {
	switch kind {
	case pusher.EventFailed:
		return red
	case pusher.EventPushing:
		return yellow
	case pusher.EventAvailable:
		return green
	}
	return ""
}

// bar returns a progress bar with a space behind it, or "" if the image is not being pushed.
func bar(event pusher.Event) string {
	progress := event.Progress
	if event.Kind != pusher.EventPushing || progress == nil || *progress == (push.Progress{}) {
		return ""
	}
	done := int(barWidth * progress.Bytes / max(progress.Total, 1))
	return "[" + strings.Repeat("=", done) + strings.Repeat(" ", barWidth-done) + "] "
}

// age returns how long ago something happened.
func (f watchFrame) age(at time.Time) string { return duration.HumanDuration(max(0, f.now.Sub(at))) }

// fit cuts the line off at the end of the terminal's line.
func (f watchFrame) fit(line watchLine) watchLine {
	line.text = cut(line.text, f.width)
	line.state = cut(line.state, f.width-utf8.RuneCountInString(line.text))
	return line
}

// limit returns at most that many lines. If there are more, the last one says how many.
func limit(lines []watchLine, most int) []watchLine {
	if len(lines) <= most || most <= 0 {
		return lines[:min(len(lines), max(0, most))]
	}
	return append(slices.Clone(lines[:most-1]), watchLine{text: fmt.Sprintf("… and %d more", len(lines)-most+1)})
}

// columnWidth returns the width of a column with two spaces between it and the next: enough for the longest text, but at most most.
func columnWidth(title string, texts []string, most int) int {
	width := len(title)
	for _, text := range texts {
		width = max(width, utf8.RuneCountInString(text))
	}
	return min(width+2, max(most, nameWidth))
}

// pad fills the text up to the width of its column, or cuts it off.
func pad(text string, width int) string {
	text = cut(text, width-2)
	return text + strings.Repeat(" ", width-utf8.RuneCountInString(text))
}

// cut returns at most that many characters of the text. If some are missing, the last one is an ellipsis.
func cut(text string, most int) string {
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	if most <= 0 {
		return ""
	}
	return string(runes[:most-1]) + "…"
}
