package rewrite

import "errors"

// Reason says why an image reference is or is not rewritten. The list of reasons is closed. The log, metrics, Events and
// docs/reasons.md use the same words.
type Reason string

// These are the reasons. Rewritten, RewrittenPushing and Kept change the reference; all others keep the original image.
const (
	// Rewritten means that exactly the build on the host is present in the registry, or that the host has no such image, but the
	// registry has one from an archive. The rewritten image is pinned to that image's digest.
	Rewritten Reason = "Rewritten"
	// RewrittenPushing means that the host has the image, and that this build is being pushed to the registry.
	RewrittenPushing Reason = "RewrittenPushing"
	// Kept means that an update contains the original image of a running container. The container keeps its rewritten image.
	Kept Reason = "Kept"
	// AlreadyLocal means that the reference names the local registry, and that this registry serves the image.
	AlreadyLocal Reason = "AlreadyLocal"
	// AlreadyLocalPushing means that the reference names the local registry, and that the host's image is being pushed there.
	AlreadyLocalPushing Reason = "AlreadyLocalPushing"
	// NotOnHost means that the host's Docker daemon has no image with this name. The kubelet pulls the original image.
	NotOnHost Reason = "NotOnHost"
	// AlwaysUpstream means that the daemon pulled the image from the registry in the reference, and the pod's
	// imagePullPolicy is Always. The kubelet pulls from that registry.
	AlwaysUpstream Reason = "AlwaysUpstream"
	// DigestNotHeld means that the reference has a digest, and that the local registry does not have this image manifest.
	DigestNotHeld Reason = "DigestNotHeld"
	// WrongPlatform means that the image on the host is for an operating system or architecture that the nodes do not run.
	WrongPlatform Reason = "WrongPlatform"
	// Unservable means that the registry cannot serve the image on the host, for example because the image has foreign layers.
	Unservable Reason = "Unservable"
	// NoSpace means that the registry's disk or the Docker daemon's disk is full.
	NoSpace Reason = "NoSpace"
	// InvalidReference means that the text is not an image reference. The kubelet rejects it too.
	InvalidReference Reason = "InvalidReference"
	// Unmappable means that the reference is valid but cannot be mapped to the local registry; see ErrUnmappable.
	Unmappable Reason = "Unmappable"
	// ExcludedByRule means that a rule excludes the image, its namespace or its pod.
	ExcludedByRule Reason = "ExcludedByRule"
	// LoopGuard means that the pod's owner keeps recreating a rewritten pod, for example because the owner is an operator that
	// compares images.
	LoopGuard Reason = "LoopGuard"
	// OptedOut means that an annotation on the pod, or a label on its namespace, requests the original images.
	OptedOut Reason = "OptedOut"
	// MirrorPod means that the pod mirrors one of the kubelet's static pods. The API server allows no changes to such a pod.
	MirrorPod Reason = "MirrorPod"
	// LookupUnavailable means that the lookup failed or took too long. The pod is created with its original image.
	LookupUnavailable Reason = "LookupUnavailable"
)

// Reasons returns all reasons in the order in which they are declared.
func Reasons() []Reason {
	return []Reason{
		Rewritten, RewrittenPushing, Kept, AlreadyLocal, AlreadyLocalPushing, NotOnHost, AlwaysUpstream, DigestNotHeld,
		WrongPlatform, Unservable, NoSpace, InvalidReference, Unmappable, ExcludedByRule, LoopGuard, OptedOut, MirrorPod,
		LookupUnavailable,
	}
}

// Warns reports whether to warn the user that the pod does not run the host's image, although the user may expect it to.
func (r Reason) Warns() bool {
	switch r {
	case WrongPlatform, Unservable, NoSpace, InvalidReference, Unmappable, LoopGuard, LookupUnavailable:
		return true
	default:
		return false
	}
}

// Refusal is returned by a lookup or a push that would fail again if it were retried. Any other error may be temporary.
type Refusal struct {
	// Reason is NotOnHost, DigestNotHeld, WrongPlatform, Unservable, NoSpace, InvalidReference, Unmappable or ExcludedByRule.
	Reason Reason
	// Detail explains the refusal to people.
	Detail string
}

// ReasonOf returns the reason of the Refusal in err's chain. It returns "" if the chain contains no Refusal.
func ReasonOf(err error) Reason {
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		return refusal.Reason
	}
	return ""
}

// Error returns the reason and the detail.
func (r *Refusal) Error() string { return string(r.Reason) + ": " + r.Detail }
