package rewrite

import "errors"

// Reason is the reason why an image reference was rewritten or not. The list is closed. The log, metrics, Events and
// docs/reasons.md use the same words.
type Reason string

// The reasons. Rewritten, RewrittenPushing and Kept change the reference; all others keep the original image.
const (
	// Rewritten means that exactly the host's build is present in the registry. The rewritten image is pinned to its digest.
	Rewritten Reason = "Rewritten"
	// RewrittenPushing means that the host has the image, and this build is being pushed to the registry.
	RewrittenPushing Reason = "RewrittenPushing"
	// Kept means that an update names the original image of a running container, which keeps its rewritten image.
	Kept Reason = "Kept"
	// AlreadyLocal means that the reference names the local registry, which serves it.
	AlreadyLocal Reason = "AlreadyLocal"
	// AlreadyLocalPushing means that the reference names the local registry, and the host's image is being pushed to it.
	AlreadyLocalPushing Reason = "AlreadyLocalPushing"
	// NotOnHost means that the host's Docker daemon has no image of this name. The kubelet pulls the original image.
	NotOnHost Reason = "NotOnHost"
	// AlwaysUpstream means that the daemon pulled the image from the registry in the reference, and the pod's
	// imagePullPolicy is Always. The kubelet pulls from that registry.
	AlwaysUpstream Reason = "AlwaysUpstream"
	// DigestNotHeld means that the reference has a digest, and the local registry has no such image manifest.
	DigestNotHeld Reason = "DigestNotHeld"
	// WrongPlatform means that the host's image is for an operating system or architecture that the nodes do not run.
	WrongPlatform Reason = "WrongPlatform"
	// Unservable means that the registry cannot serve the host's image, for example because it has foreign layers.
	Unservable Reason = "Unservable"
	// NoSpace means that the disk of the registry or of the Docker daemon is full.
	NoSpace Reason = "NoSpace"
	// InvalidReference means that this is not an image reference. The kubelet refuses it too.
	InvalidReference Reason = "InvalidReference"
	// Unmappable means that the reference is valid but cannot be mapped to the local registry; see ErrUnmappable.
	Unmappable Reason = "Unmappable"
	// ExcludedByRule means that a rule excludes the image, its namespace or its pod.
	ExcludedByRule Reason = "ExcludedByRule"
	// LoopGuard means that the pod's owner keeps recreating a rewritten pod, as an operator does that compares images.
	LoopGuard Reason = "LoopGuard"
	// OptedOut means that an annotation of the pod, or a label of its namespace, asks for the original images.
	OptedOut Reason = "OptedOut"
	// MirrorPod means that the pod mirrors a static pod of the kubelet. The API server allows no change to it.
	MirrorPod Reason = "MirrorPod"
	// LookupUnavailable means that the lookup failed or did not end in time. The pod is created with its original image.
	LookupUnavailable Reason = "LookupUnavailable"
)

// Reasons returns all reasons, in the order above.
func Reasons() []Reason {
	return []Reason{
		Rewritten, RewrittenPushing, Kept, AlreadyLocal, AlreadyLocalPushing, NotOnHost, AlwaysUpstream, DigestNotHeld,
		WrongPlatform, Unservable, NoSpace, InvalidReference, Unmappable, ExcludedByRule, LoopGuard, OptedOut, MirrorPod,
		LookupUnavailable,
	}
}

// Warns reports whether the user should get a warning: the pod may be meant to run the host's image, and cannot.
func (r Reason) Warns() bool {
	switch r {
	case WrongPlatform, Unservable, NoSpace, InvalidReference, Unmappable, LoopGuard, LookupUnavailable:
		return true
	default:
		return false
	}
}

// Refusal is the error of a lookup or a push that cannot succeed, however often it is retried. Any other error may be
// temporary.
type Refusal struct {
	// Reason is NotOnHost, DigestNotHeld, WrongPlatform, Unservable, NoSpace, InvalidReference, Unmappable or ExcludedByRule.
	Reason Reason
	// Detail explains it to people.
	Detail string
}

// ReasonOf returns the reason of a Refusal in err's chain, and "" if there is none.
func ReasonOf(err error) Reason {
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		return refusal.Reason
	}
	return ""
}

// Error returns the reason and the detail.
func (r *Refusal) Error() string { return string(r.Reason) + ": " + r.Detail }
