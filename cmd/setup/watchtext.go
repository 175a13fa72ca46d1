package main

import (
	"fmt"
	"strings"
	"unicode"

	"kind-local-registry/internal/push"
	"kind-local-registry/internal/pusher"
	"kind-local-registry/webhook/watch"
)

// connectionText describes a connection.
func connectionText(connection watch.Connection) string {
	switch {
	case connection.Connected:
		return "connected"
	case connection.Err != nil:
		return "lost, connecting again: " + printable(connection.Err.Error())
	}
	return "connecting"
}

// imageText describes the last event about an image.
func imageText(image watch.Image) string {
	event := image.Event
	switch event.Kind {
	case pusher.EventBuilt:
		if event.ImageID == "" { // a pull
			return "built"
		}
		return "built " + shortID(event.ImageID)
	case pusher.EventPushing:
		if event.Progress == nil || event.Progress.Total == 0 {
			return "waiting to be pushed"
		}
		return fmt.Sprintf("pushing %s, %s of %s", percent(*event.Progress), humanSize(event.Progress.Bytes), humanSize(event.Progress.Total))
	case pusher.EventAvailable:
		return "available " + shortID(event.Digest)
	case pusher.EventFailed:
		return "not pushed: " + printable(event.Error)
	}
	return string(event.Kind) // of a later version of the pusher
}

// podTexts describes the states of pods. The detail, if there is one, is added to a text that ends with a colon.
var podTexts = map[watch.PodState]string{
	watch.Stopping: "stops", watch.Ended: "ended:", watch.WaitingForPush: "waits for its push", watch.CannotPull: "cannot pull:",
	watch.Crashing: "crashes:", watch.Pending: "waits for a node:", watch.Starting: "starts", watch.NotReady: "runs, not ready",
	watch.Stale: "stale, the host has a newer build", watch.Running: "runs",
}

// podText describes a pod's state.
func podText(pod watch.Pod) string {
	text := podTexts[pod.State]
	if pod.Progress != nil && pod.Progress.Total > 0 {
		text += ", " + percent(*pod.Progress)
	}
	if strings.HasSuffix(text, ":") {
		text = strings.TrimSuffix(text+" "+printable(pod.Detail), ": ")
	}
	if pod.Rollout {
		text += " (rollout)"
	}
	return text
}

// percent returns how much of a push is done.
func percent(progress push.Progress) string {
	if progress.Total == 0 {
		return "0 %"
	}
	return fmt.Sprintf("%d %%", 100*progress.Bytes/progress.Total)
}

// printable replaces line breaks and control sequences, which other programs may have put into an error, with spaces.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
}
