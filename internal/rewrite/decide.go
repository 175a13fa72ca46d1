package rewrite

import "errors"

// Presence is what the host and the registry hold of one name.
type Presence struct {
	// OnHost says that the host's Docker daemon has an image of this name.
	OnHost bool `json:"onHost"`
	// ImageID is the daemon's ID of that image, such as sha256:…
	ImageID string `json:"imageID,omitempty"`
	// Pulled says that the daemon is known to have that image from the registry that the name says, which may have a newer
	// one; false for what was built on the host, for names of the local registry, and where the daemon does not tell.
	Pulled bool `json:"pulled,omitempty"`
	// Digest is the manifest digest of exactly that build in the registry, complete with every layer; "" where the
	// registry lacks it. For a name with a digest it is that digest, where the registry holds it.
	Digest string `json:"digest,omitempty"`
	// Served is the manifest digest that the registry serves under the name, whichever build it is; "" for none.
	Served string `json:"served,omitempty"`
	// Refusal is why the host's image cannot be pushed, and Detail says more; "" where it can.
	Refusal Reason `json:"refusal,omitempty"`
	Detail  string `json:"detail,omitempty"`
}

// Lookup tells what the host and the registry hold of a name. An error means that nobody could say.
type Lookup func(Name) (Presence, error)

// Decision is what becomes of one image reference, and why.
type Decision struct {
	// Image is the reference as it was written.
	Image string `json:"image"`
	// Rewritten is the reference as it shall run: Image itself where it is left alone.
	Rewritten string `json:"rewritten"`
	// Digest is the manifest digest in Rewritten where the decision put it there; "" otherwise.
	Digest string `json:"digest,omitempty"`
	// ImageID is the daemon's ID of the image that is yet to be pushed; "" otherwise.
	ImageID string `json:"imageID,omitempty"`
	// Reason says why.
	Reason Reason `json:"reason"`
	// Detail explains the reason where there is more to say, such as what is wrong with the reference.
	Detail string `json:"detail,omitempty"`
}

// Changed says whether the decision changes the reference.
func (d Decision) Changed() bool { return d.Rewritten != d.Image }

// NeedsPush says whether the image is yet to be pushed into the registry.
func (d Decision) NeedsPush() bool {
	return d.Reason == RewrittenPushing || d.Reason == AlreadyLocalPushing
}

// Question is one image reference, and what bears on it besides what is held of it.
type Question struct {
	// Image is the reference as it was written.
	Image string
	// RegistryHost is the registry's host, such as localhost:5001.
	RegistryHost string
	// ExcludedBy names the rule that leaves a name alone, in words for a person; "" for none. It may be nil.
	ExcludedBy func(Name) string
	// LeavePulled says that an image which the daemon pulled is left to the registry that it came from.
	LeavePulled bool
	// FromRegistry says that an image which the host no longer has is taken from the local registry, if that serves it.
	FromRegistry bool
}

// Decide answers the question. It asks lookup at most once, and not at all about what has no place in the registry or is
// left alone by a rule.
func Decide(q Question, lookup Lookup) Decision {
	name, err := Parse(q.Image)
	if err != nil {
		return Unchanged(q.Image, InvalidReference, err.Error())
	}
	if q.ExcludedBy != nil {
		if rule := q.ExcludedBy(name); rule != "" {
			return Unchanged(q.Image, ExcludedByRule, rule)
		}
	}
	target, err := name.Target(q.RegistryHost)
	if err != nil {
		return Unchanged(q.Image, Unmappable, err.Error())
	}
	held, err := lookup(name)
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		return Unchanged(q.Image, refusal.Reason, refusal.Detail)
	}
	if err != nil {
		return Unchanged(q.Image, LookupUnavailable, err.Error())
	}
	if name.Host() == q.RegistryHost {
		return local(q.Image, name, held)
	}
	return q.foreign(name, target, held)
}

// Unchanged returns the decision that leaves image alone.
func Unchanged(image string, reason Reason, detail string) Decision {
	return Decision{Image: image, Rewritten: image, Reason: reason, Detail: detail}
}

// foreign decides about a name that stands as target in the local registry.
func (q Question) foreign(name Name, target string, held Presence) Decision {
	switch {
	case q.LeavePulled && held.Pulled && name.Digest() == "":
		return Unchanged(q.Image, AlwaysUpstream, "")
	case held.Digest != "":
		return Decision{Image: q.Image, Rewritten: target + "@" + held.Digest, Digest: held.Digest, Reason: Rewritten}
	case name.Digest() != "":
		return Unchanged(q.Image, DigestNotHeld, "")
	case held.Refusal != "":
		return Unchanged(q.Image, held.Refusal, held.Detail)
	case held.OnHost:
		return Decision{Image: q.Image, Rewritten: target, ImageID: held.ImageID, Reason: RewrittenPushing}
	case q.FromRegistry && held.Served != "":
		return Decision{
			Image: q.Image, Rewritten: target + "@" + held.Served, Digest: held.Served, Reason: Rewritten,
			Detail: "the host no longer has it; the registry does",
		}
	}
	return Unchanged(q.Image, NotOnHost, "")
}

// ByBuild returns a decision to push with the reference of exactly the build that the host has now, for fields that nobody
// can pin to a digest later. Any other decision stays as it is.
func (d Decision) ByBuild() Decision {
	if d.Reason == RewrittenPushing {
		d.Rewritten = WithBuild(d.Rewritten, d.ImageID)
	}
	return d
}

// Pushes returns the name to push for a field that nobody can pin later: exactly the build that ByBuild refers to, or the
// image if there is no such reference.
func (d Decision) Pushes() string {
	if build := d.ByBuild().Rewritten; build != d.Rewritten {
		return build
	}
	return d.Image
}

// AfterPush returns the decision after a push of its image, which ended with the digest of the image's manifest or with an
// error. A refusal leaves the image unchanged. Any other error may pass: it is returned, and the decision stays.
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

// local decides about an image of the local registry itself.
func local(image string, name Name, held Presence) Decision {
	switch {
	case held.Served != "":
		return Unchanged(image, AlreadyLocal, "")
	case name.Digest() != "":
		return Unchanged(image, DigestNotHeld, "")
	case held.Refusal != "":
		return Unchanged(image, held.Refusal, held.Detail)
	case held.OnHost:
		return Unchanged(image, AlreadyLocalPushing, "")
	}
	return Unchanged(image, NotOnHost, "")
}
