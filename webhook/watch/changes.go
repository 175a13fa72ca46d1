package watch

import "errors"

// Change is a difference between two states. Exactly one field is set.
type Change struct {
	// Pusher or Cluster is a connection that was made or lost.
	Pusher, Cluster *Connection
	// Image is an image with a new event.
	Image *Image
	// Pod is a pod that is new, or whose state has changed. Gone is one that no longer exists.
	Pod, Gone *Pod
}

// Changes returns what has changed from one state to the next: first the connections, then the images and the pods.
func Changes(before, after State) (changes []Change) {
	if differ(before.Pusher, after.Pusher) {
		changes = append(changes, Change{Pusher: &after.Pusher})
	}
	if differ(before.Cluster, after.Cluster) {
		changes = append(changes, Change{Cluster: &after.Cluster})
	}
	events := map[string]Image{}
	for _, image := range before.Images {
		events[image.Name] = image
	}
	for _, image := range after.Images {
		if known, found := events[image.Name]; !found || known.Event != image.Event {
			changes = append(changes, Change{Image: &image})
		}
	}
	return append(changes, podChanges(before.Pods, after.Pods)...)
}

// differ reports whether a connection was made or lost, or whether it is down for another reason.
func differ(before, after Connection) bool {
	if before.Connected != after.Connected {
		return true
	}
	return !after.Connected && after.Err != nil && (before.Err == nil || before.Err.Error() != after.Err.Error() && !errors.Is(after.Err, before.Err))
}

// podChanges returns the pods that differ, and then those that are gone. The progress of a push is no difference, because the image
// has it, too.
func podChanges(before, after []Pod) (changes []Change) {
	known := make(map[string]Pod, len(before))
	for _, pod := range before {
		known[pod.key()] = pod
	}
	for _, pod := range after {
		earlier, found := known[pod.key()]
		delete(known, pod.key())
		earlier.Progress = pod.Progress
		if !found || earlier != pod {
			changes = append(changes, Change{Pod: &pod})
		}
	}
	for _, pod := range before {
		if gone, found := known[pod.key()]; found {
			changes = append(changes, Change{Gone: &gone})
		}
	}
	return changes
}
