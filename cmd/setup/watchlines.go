package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"kind-local-registry/internal/host/report"
	"kind-local-registry/internal/pusher"
	"kind-local-registry/webhook/watch"
)

// watchLines prints a line for each change.
type watchLines struct {
	w            io.Writer
	line         func(at time.Time, change watch.Change) string
	after, every time.Duration // how long a push runs before it has a line, and how often it then has one

	state  watch.State
	pushes map[string]pushLines // by image
}

// pushLines is when a push began, and when its last line was printed.
type pushLines struct{ begun, printed time.Time }

// newWatchLines returns a view that prints what line returns.
func newWatchLines(w io.Writer, line func(time.Time, watch.Change) string, after, every time.Duration) *watchLines {
	return &watchLines{w: w, line: line, after: after, every: every, pushes: map[string]pushLines{}}
}

// show implements watchView.
func (l *watchLines) show(state watch.State) {
	now := time.Now()
	for _, change := range watch.Changes(l.state, state) {
		if change.Image == nil || l.due(*change.Image) {
			_, _ = io.WriteString(l.w, l.line(now, change)) // if stdout is a closed pipe, SIGPIPE ends the process
		}
	}
	l.state = state
}

// close implements watchView.
func (l *watchLines) close() {}

// due reports whether the image has a line. Its push has lines only now and then.
func (l *watchLines) due(image watch.Image) bool {
	if image.Event.Kind != pusher.EventPushing {
		delete(l.pushes, image.Name)
		return true
	}
	lines, known := l.pushes[image.Name]
	now := image.Event.Time
	if !known {
		lines.begun = now
	}
	due := now.Sub(lines.begun) >= l.after && (lines.printed.IsZero() || now.Sub(lines.printed) >= l.every)
	if due {
		lines.printed = now
	}
	l.pushes[image.Name] = lines
	return due
}

// plainChange returns the line about a change for a person.
func plainChange(at time.Time, change watch.Change) string {
	line := at.Format(time.TimeOnly) + " "
	switch {
	case change.Pusher != nil:
		line += "pusher " + connectionText(*change.Pusher)
	case change.Cluster != nil:
		line += "cluster " + connectionText(*change.Cluster)
	case change.Image != nil:
		line += "image " + change.Image.Name + " " + imageText(*change.Image)
	case change.Gone != nil:
		line += fmt.Sprintf("pod %s/%s %s is gone", change.Gone.Namespace, change.Gone.Name, change.Gone.Image)
	case change.Pod != nil:
		line += fmt.Sprintf("pod %s/%s %s %s", change.Pod.Namespace, change.Pod.Name, change.Pod.Image, podText(*change.Pod))
	}
	return line + "\n"
}

// jsonChange returns the line about a change as a JSON document.
func jsonChange(at time.Time, change watch.Change) string {
	document := newWatched(at, change)
	var line bytes.Buffer
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(document) // cannot fail: the document contains only strings and numbers
	return line.String()
}

// newWatched returns the document about a change.
func newWatched(at time.Time, change watch.Change) report.Watched {
	document := report.Watched{Time: at.UTC().Format("2006-01-02T15:04:05.000Z")}
	connection := func(source string, now watch.Connection) {
		document.Change, document.Source = "disconnected", source
		if now.Connected {
			document.Change = "connected"
		} else if now.Err != nil {
			document.Error = now.Err.Error()
		}
	}
	switch {
	case change.Pusher != nil:
		connection("pusher", *change.Pusher)
	case change.Cluster != nil:
		connection("cluster", *change.Cluster)
	case change.Image != nil:
		document.Change, document.Image = "image", newWatchedImage(*change.Image)
	case change.Gone != nil:
		document.Change, document.Pod = "gone", newWatchedPod(*change.Gone)
	case change.Pod != nil:
		document.Change, document.Pod = "pod", newWatchedPod(*change.Pod)
	}
	return document
}

// newWatchedImage returns the part of a document about an image.
func newWatchedImage(image watch.Image) *report.WatchedImage {
	event := image.Event
	found := &report.WatchedImage{
		Name: image.Name, State: string(event.Kind), ImageID: event.ImageID.String(), Digest: event.Digest.String(), Error: event.Error,
	}
	if event.Progress != nil {
		found.Bytes, found.Total = event.Progress.Bytes, event.Progress.Total
	}
	return found
}

// newWatchedPod returns the part of a document about a pod.
func newWatchedPod(pod watch.Pod) *report.WatchedPod {
	return &report.WatchedPod{
		Namespace: pod.Namespace, Name: pod.Name, Image: pod.Image, Digest: pod.Digest, State: string(pod.State), Detail: pod.Detail,
		Rollout: pod.Rollout, Created: pod.Created.UTC().Format(time.RFC3339),
	}
}
