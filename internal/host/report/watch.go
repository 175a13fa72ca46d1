package report

// Watched is a line of setup watch. Each line is a JSON document without line breaks, and describes the new state of one thing. When
// setup watch begins, there is a line for each pod.
type Watched struct {
	// Time is when setup watch learned of the change, such as 2026-01-31T12:00:00.123Z.
	Time string `json:"time"`
	// Change is connected, disconnected, image, pod or gone. gone means that the pod no longer exists.
	Change string `json:"change"`
	// Source is pusher or cluster, if Change is connected or disconnected.
	Source string `json:"source,omitempty"`
	// Error is why the source is disconnected. setup watch connects again by itself.
	Error string `json:"error,omitempty"`
	// Image is set if Change is image.
	Image *WatchedImage `json:"image,omitempty"`
	// Pod is set if Change is pod or gone.
	Pod *WatchedPod `json:"pod,omitempty"`
}

// WatchedImage is an image that was built, pulled, loaded, tagged, pushed or promised.
type WatchedImage struct {
	// Name is the image's reference on the host, such as example/app:local.
	Name string `json:"name"`
	// State is built, pushing, available (the registry has this build, or was promised it) or failed (its push).
	State string `json:"state"`
	// ImageID identifies the build on the host.
	ImageID string `json:"imageID,omitempty"`
	// Digest is the digest of the image manifest in the registry, if State is available.
	Digest string `json:"digest,omitempty"`
	// Bytes is how much has been pushed. While an image is being pushed, there is at most one line per second.
	Bytes int64 `json:"bytes,omitempty"`
	// Total is how much will be pushed. It is omitted until that is known, for example while other images are pushed first.
	Total int64 `json:"total,omitempty"`
	// Error is why the push failed.
	Error string `json:"error,omitempty"`
}

// WatchedPod is a pod with one of its images. A pod with several images of the host has a line for each.
type WatchedPod struct {
	// Namespace is the pod's namespace.
	Namespace string `json:"namespace"`
	// Name is the pod's name.
	Name string `json:"name"`
	// Image is the original image.
	Image string `json:"image"`
	// Digest is the digest of the image manifest that the pod runs. It is omitted if the pod's image is not pinned.
	Digest string `json:"digest,omitempty"`
	// State is stopping, ended, waitingForPush, cannotPull, crashing, pending (without a node), starting, stale (the host's tag refers to
	// another build than the pod runs), notReady or running.
	State string `json:"state"`
	// Detail describes the state, for example with the kubelet's error.
	Detail string `json:"detail,omitempty"`
	// Rollout reports that the pod starts in place of a pod with another template of the same owner, or stops for one.
	Rollout bool `json:"rollout,omitempty"`
	// Created is when the pod was created, such as 2026-01-31T12:00:00Z.
	Created string `json:"created"`
}
