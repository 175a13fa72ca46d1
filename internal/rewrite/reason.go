package rewrite

import "errors"

// Reason says why an image reference was rewritten or left alone. The list is closed: the same words stand in the log,
// in metrics, in Events and in docs/reasons.md.
type Reason string

// The reasons. Those of Rewritten, RewrittenPushing and Kept change the reference, all others leave it as it was written.
const (
	// Rewritten: the registry holds exactly the host's build; the reference names it by digest.
	Rewritten Reason = "Rewritten"
	// RewrittenPushing: the host has the image, the registry does not yet; it is being pushed.
	RewrittenPushing Reason = "RewrittenPushing"
	// Kept: an update names the original image of what runs; the pod keeps the image that it has.
	Kept Reason = "Kept"
	// AlreadyLocal: the reference names the local registry already, and the registry serves it.
	AlreadyLocal Reason = "AlreadyLocal"
	// AlreadyLocalPushing: the reference names the local registry already; the image is being pushed there.
	AlreadyLocalPushing Reason = "AlreadyLocalPushing"
	// NotOnHost: the host's Docker daemon has no image of this name; it is pulled from where it names.
	NotOnHost Reason = "NotOnHost"
	// AlwaysUpstream: the host has the image from the registry that the reference names, and the pod always asks that one.
	AlwaysUpstream Reason = "AlwaysUpstream"
	// DigestNotHeld: the reference asks for a manifest that the local registry does not hold.
	DigestNotHeld Reason = "DigestNotHeld"
	// WrongPlatform: the host's image is for an operating system or architecture that the nodes do not run.
	WrongPlatform Reason = "WrongPlatform"
	// Unservable: the host's image has a shape that the registry cannot serve, such as foreign layers.
	Unservable Reason = "Unservable"
	// NoSpace: the registry's disk is full, or the Docker daemon's.
	NoSpace Reason = "NoSpace"
	// InvalidReference: not an image reference; the kubelet will say so too.
	InvalidReference Reason = "InvalidReference"
	// Unmappable: a valid reference that has no name in the local registry, see ErrUnmappable.
	Unmappable Reason = "Unmappable"
	// ExcludedByRule: a rule leaves the image, its namespace or its pod alone.
	ExcludedByRule Reason = "ExcludedByRule"
	// LoopGuard: the pod's owner recreates a rewritten pod over and over, as one does that compares images.
	LoopGuard Reason = "LoopGuard"
	// OptedOut: the pod's annotation, or the label of its namespace, asks that its images be left alone.
	OptedOut Reason = "OptedOut"
	// MirrorPod: the pod mirrors a static pod of the kubelet; the API server allows no change to it.
	MirrorPod Reason = "MirrorPod"
	// LookupUnavailable: whether the host has the image could not be asked in time; the pod is created as written.
	LookupUnavailable Reason = "LookupUnavailable"
)

// Reasons returns every reason, in the order of the list above.
func Reasons() []Reason {
	return []Reason{
		Rewritten, RewrittenPushing, Kept, AlreadyLocal, AlreadyLocalPushing, NotOnHost, AlwaysUpstream, DigestNotHeld,
		WrongPlatform, Unservable, NoSpace, InvalidReference, Unmappable, ExcludedByRule, LoopGuard, OptedOut, MirrorPod,
		LookupUnavailable,
	}
}

// Warns says whether whoever made the pod should hear of it: the host's image was meant, or may have been, and cannot run.
// The other reasons say that all is as it should be.
func (r Reason) Warns() bool {
	switch r {
	case WrongPlatform, Unservable, NoSpace, InvalidReference, Unmappable, LoopGuard, LookupUnavailable:
		return true
	default:
		return false
	}
}

// Refusal is the error of an image that cannot be brought into the registry, and waiting changes nothing about that. Any
// other error of a look-up or a push may pass.
type Refusal struct {
	// Reason is why: NotOnHost, DigestNotHeld, WrongPlatform, Unservable, NoSpace, InvalidReference, Unmappable or
	// ExcludedByRule.
	Reason Reason
	// Detail says more, for a person.
	Detail string
}

// ReasonOf returns the reason of a refusal, and "" for any other error.
func ReasonOf(err error) Reason {
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		return refusal.Reason
	}
	return ""
}

// Error returns the reason and its detail.
func (r *Refusal) Error() string { return string(r.Reason) + ": " + r.Detail }
