package rewrite

import (
	"errors"
	"strings"
)

// Decision is the decision about one image reference.
type Decision struct {
	// Image is the original image.
	Image string `json:"image"`
	// Rewritten is the rewritten image. It equals Image if the decision is not to rewrite.
	Rewritten string `json:"rewritten"`
	// Digest is the digest in Rewritten if the decision added one, otherwise "".
	Digest string `json:"digest,omitempty"`
	// ImageID is the daemon's ID for the image if the image must be pushed first, otherwise "".
	ImageID string `json:"imageID,omitempty"`
	// Reason is the reason for the decision.
	Reason Reason `json:"reason"`
	// Detail explains the reason, for example what is wrong with the reference. It may be "".
	Detail string `json:"detail,omitempty"`
	// Similar and Typo are those of the Presence if Reason is NotOnHost. Detail then suggests the names in Similar.
	Similar []string `json:"similar,omitempty"`
	Typo    bool     `json:"typo,omitempty"`
}

// Changed reports whether the decision changes the reference.
func (d Decision) Changed() bool { return d.Rewritten != d.Image }

// NeedsPush reports whether the image must be pushed to the registry first.
func (d Decision) NeedsPush() bool {
	return d.Reason == RewrittenPushing || d.Reason == AlreadyLocalPushing
}

// Unchanged returns the decision to keep the original image.
func Unchanged(image string, reason Reason, detail string) Decision {
	return Decision{Image: image, Rewritten: image, Reason: reason, Detail: detail}
}

// notOnHost returns the decision about an image that the host does not have.
func notOnHost(image string, presence Presence) Decision {
	decision := Unchanged(image, NotOnHost, DidYouMean(presence.Similar))
	decision.Similar, decision.Typo = presence.Similar, presence.Typo
	return decision
}

// DidYouMean returns the question that suggests the names, or "" if there are none.
func DidYouMean(names []string) string {
	if len(names) == 0 {
		return ""
	}
	last := len(names) - 1
	text := names[last]
	if last > 0 {
		text = strings.Join(names[:last], ", ") + " or " + text
	}
	return "did you mean " + text + "?"
}

// ByBuild returns the decision for a field that cannot be pinned to a digest later. If Reason is RewrittenPushing, Rewritten
// has a build tag. Otherwise the decision is unchanged.
func (d Decision) ByBuild() Decision {
	if d.Reason == RewrittenPushing {
		d.Rewritten = WithBuild(d.Rewritten, d.ImageID)
	}
	return d
}

// Pushes returns the reference to push for a field that cannot be pinned later. This is the reference from ByBuild if it has a
// build tag, otherwise Image.
func (d Decision) Pushes() string {
	if build := d.ByBuild().Rewritten; build != d.Rewritten {
		return build
	}
	return d.Image
}

// AfterPush returns the decision after the image has been pushed. digest is the image manifest's digest, and err is the push's
// error. If err is a Refusal, the decision is to keep the original image. Any other error may be temporary, so AfterPush
// returns it with the decision unchanged.
func (d Decision) AfterPush(digest string, err error) (Decision, error) {
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		return Unchanged(d.Image, refusal.Reason, refusal.Detail), nil
	}
	if err != nil {
		return d, err
	}
	d.Digest, d.ImageID = digest, ""
	switch d.Reason {
	case RewrittenPushing:
		d.Reason, d.Rewritten = Rewritten, d.Rewritten+"@"+digest
	case AlreadyLocalPushing:
		d.Reason = AlreadyLocal
	}
	return d, nil
}
