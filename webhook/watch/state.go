package watch

import (
	"time"

	"kind-local-registry/internal/push"
	"kind-local-registry/internal/pusher"
)

// State is what is known at one moment.
type State struct {
	// Pusher and Cluster describe the connections.
	Pusher, Cluster Connection
	// Images are the images that were built, pushed or promised since Run began, sorted by name.
	Images []Image
	// Pods contains an entry for each image of each pod. It is sorted by namespace, pod and image.
	Pods []Pod
}

// Connection is the connection to the pusher or to the cluster.
type Connection struct {
	// Connected reports whether the connection stands.
	Connected bool
	// Err is why it does not stand. It is nil before the first attempt has ended.
	Err error
}

// Image is one of the host's images.
type Image struct {
	// Name is the image's reference on the host, such as example/hello:local.
	Name string
	// Event is the last event about the image.
	Event pusher.Event
}

// pushing returns the progress of the image's push, or nil if it is not being pushed.
func (i Image) pushing() *push.Progress {
	if i.Event.Kind != pusher.EventPushing {
		return nil
	}
	return i.Event.Progress
}

// PodState says how far a pod is with one of its images.
type PodState string

// These are the states of a pod. Run reports the first that applies.
const (
	// Stopping means that the pod is being deleted.
	Stopping PodState = "stopping"
	// Ended means that the pod has ended.
	Ended PodState = "ended"
	// WaitingForPush means that the pod is gated until its images are pushed.
	WaitingForPush PodState = "waitingForPush"
	// CannotPull means that the kubelet cannot pull the image.
	CannotPull PodState = "cannotPull"
	// Crashing means that a container ends again and again, or cannot be created.
	Crashing PodState = "crashing"
	// Pending means that the pod has no node yet.
	Pending PodState = "pending"
	// Starting means that the image is being pulled, or that its containers are being started.
	Starting PodState = "starting"
	// Stale means that the pod runs another build than the one to which the host's tag refers.
	Stale PodState = "stale"
	// NotReady means that a container runs that is not ready.
	NotReady PodState = "notReady"
	// Running means that the containers of the image run and are ready.
	Running PodState = "running"
)

// Pod is a pod with one of its images.
type Pod struct {
	Namespace, Name string
	// Image is the original image.
	Image string
	// Digest is the digest of the image manifest that the pod runs, or "" if its image is not pinned.
	Digest string
	State  PodState
	// Detail describes the state, for example with the kubelet's error. It may be "".
	Detail string
	// Progress is set if the pod is waiting for a push that is running.
	Progress *push.Progress
	// Rollout reports that a pod of the same owner, with another template, is starting in place of this pod, or stopping for it.
	Rollout bool
	// Created is when the pod was created.
	Created time.Time
}

// key identifies the pod's entry.
func (p Pod) key() string { return p.Namespace + "/" + p.Name + " " + p.Image }
