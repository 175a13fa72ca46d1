package report

// ExplainedObjects is the document of setup explain KIND/NAME.
type ExplainedObjects struct {
	// Cluster is the name of the kind cluster.
	Cluster string `json:"cluster"`
	// Webhook lists the webhook's pods, whose logs were read. It is empty if the webhook is not installed.
	Webhook []WebhookLog `json:"webhook"`
	// Unknown tells why nothing is known about the host's images. It is omitted if the host was asked.
	Unknown string `json:"unknown,omitempty"`
	// Pods lists the pods of the objects, in the order of the arguments.
	Pods []ExplainedPod `json:"pods"`
}

// WebhookLog describes the log of one of the webhook's pods.
type WebhookLog struct {
	// Pod is the pod's name.
	Pod string `json:"pod"`
	// Since is when the log begins, in RFC 3339. It is omitted if the container has never run.
	Since string `json:"since,omitempty"`
	// Error tells why the log, or a part of it, could not be read.
	Error string `json:"error,omitempty"`
}

// ExplainedPod describes a pod that exists.
type ExplainedPod struct {
	// Namespace is the pod's namespace.
	Namespace string `json:"namespace"`
	// Name is the pod's name.
	Name string `json:"name"`
	// OwnerKind is the kind of the workload that the pod belongs to, such as Deployment. It is omitted if the pod belongs to none.
	OwnerKind string `json:"ownerKind,omitempty"`
	// OwnerName is the name of the workload that the pod belongs to.
	OwnerName string `json:"ownerName,omitempty"`
	// Created is when the pod was created, in RFC 3339.
	Created string `json:"created"`
	// Phase is the pod's phase, such as Running.
	Phase string `json:"phase"`
	// Terminating reports whether the pod is being deleted.
	Terminating bool `json:"terminating"`
	// Node is the name of the pod's node. It is omitted if the pod has none.
	Node string `json:"node,omitempty"`
	// Gated reports whether the pod waits for pushes.
	Gated bool `json:"gated"`
	// Progress describes the pushes that a gated pod waits for.
	Progress string `json:"progress,omitempty"`
	// Heals is how often the pod was healed.
	Heals int `json:"heals,omitempty"`
	// Healed is when the pod was last healed, in RFC 3339.
	Healed string `json:"healed,omitempty"`
	// Images lists the pod's image fields.
	Images []LiveImage `json:"images"`
}

// LiveImage describes an image field of a pod that exists.
type LiveImage struct {
	// Field is the path of the image field, such as spec.containers{app}.
	Field string `json:"field"`
	// Original is the original image.
	Original string `json:"original"`
	// Image is the image in the pod.
	Image string `json:"image"`
	// Digest is the digest of what the container runs, or of what it will run. It is omitted if it is unknown.
	Digest string `json:"digest,omitempty"`
	// State is one of: running, ended, waiting, not started.
	State string `json:"state"`
	// Waiting is the kubelet's reason if the container waits, such as ImagePullBackOff.
	Waiting string `json:"waiting,omitempty"`
	// Admission is the newest decision in the webhook's logs. It is omitted if no log has one.
	Admission *Admission `json:"admission,omitempty"`
	// Unlogged tells why no log has a decision.
	Unlogged string `json:"unlogged,omitempty"`
	// Pull is the kubelet's report about an image that it cannot use. It is omitted if there is none.
	Pull *PullFailure `json:"pull,omitempty"`
	// Build compares what the container runs with the host's build. It is one of: current, newer (the host's build), pushing, not used
	// (the host's image), absent (on the host), refused (by the registry), not looked up, unknown.
	Build string `json:"build"`
	// Now is the decision as if the pod were created now. It is omitted if the host cannot be asked.
	Now *Now `json:"now,omitempty"`
	// Layers tells how many layers of the host's build the pod's node has. It is omitted if the container has started, or if layers are
	// not linked.
	Layers *NodeLayers `json:"layers,omitempty"`
	// Remedy tells what to do. It is omitted if there is nothing to do.
	Remedy string `json:"remedy,omitempty"`
}

// Admission is what the webhook decided when a pod was created, or when its image was last updated.
type Admission struct {
	// Time is when the webhook decided, in RFC 3339.
	Time string `json:"time"`
	// Reason is a code from docs/reasons.md.
	Reason string `json:"reason"`
	// Detail explains the reason. It is omitted if there is nothing to add.
	Detail string `json:"detail,omitempty"`
	// Replica is the webhook's pod that decided.
	Replica string `json:"replica"`
}

// PullFailure is the kubelet's report about an image that it cannot use.
type PullFailure struct {
	// Reason is the kubelet's code, such as ErrImagePull.
	Reason string `json:"reason"`
	// Message is the kubelet's message.
	Message string `json:"message"`
}

// Now is the decision about an image as if its pod were created now.
type Now struct {
	// Outcome is one of: rewritten, pushed first, left alone.
	Outcome string `json:"outcome"`
	// Reason is a code from docs/reasons.md.
	Reason string `json:"reason"`
	// Detail explains the reason. It is omitted if there is nothing to add.
	Detail string `json:"detail,omitempty"`
	// Rewritten is the rewritten image. It is omitted if the image is left alone.
	Rewritten string `json:"rewritten,omitempty"`
	// Digest is the digest of the image manifest in the registry. It is omitted if the registry does not have the host's build.
	Digest string `json:"digest,omitempty"`
}
