package rewrite

import "errors"

// Question contains everything that Decide depends on, except the image's presence.
type Question struct {
	// Image is the original image.
	Image string
	// RegistryHost is the registry's host, such as localhost:5001.
	RegistryHost string
	// ExcludedBy describes, for people, the rule that excludes a name from rewriting. It returns "" if no rule excludes the name.
	// ExcludedBy may be nil.
	ExcludedBy func(Name) string
	// LeavePulled keeps the original reference if the daemon pulled the image, so that the kubelet pulls from the same
	// registry.
	LeavePulled bool
	// FromRegistry rewrites to the local registry's image if the host no longer has one.
	FromRegistry bool
}

// Decide decides about an image reference. It calls lookup at most once. It does not call lookup if the reference is invalid,
// cannot be mapped to the registry, or is excluded by a rule.
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
	presence, err := lookup(name)
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		return Unchanged(q.Image, refusal.Reason, refusal.Detail)
	}
	if err != nil {
		return Unchanged(q.Image, LookupUnavailable, err.Error())
	}
	if name.Host() == q.RegistryHost {
		return decideLocal(q.Image, name, presence)
	}
	return q.decideForeign(name, target, presence)
}

// decideForeign decides about a name in another registry. target is the corresponding name in the local registry.
func (q Question) decideForeign(name Name, target string, presence Presence) Decision {
	switch {
	case q.LeavePulled && presence.Pulled && name.Digest() == "":
		return Unchanged(q.Image, AlwaysUpstream, "")
	case presence.Digest != "":
		return Decision{Image: q.Image, Rewritten: target + "@" + presence.Digest, Digest: presence.Digest, Reason: Rewritten}
	case name.Digest() != "":
		return Unchanged(q.Image, DigestNotHeld, "")
	case presence.Refusal != "":
		return Unchanged(q.Image, presence.Refusal, presence.Detail)
	case presence.OnHost:
		return Decision{Image: q.Image, Rewritten: target, ImageID: presence.ImageID, Reason: RewrittenPushing}
	case presence.Archive && presence.Served != "":
		return served(q.Image, target, presence, "the image was pushed from an archive")
	case q.FromRegistry && presence.Served != "":
		return served(q.Image, target, presence, "the host no longer has the image, but the registry does")
	}
	return notOnHost(q.Image, presence)
}

// served returns the decision to use the registry's image although the host has none.
func served(image, target string, presence Presence, detail string) Decision {
	return Decision{Image: image, Rewritten: target + "@" + presence.Served, Digest: presence.Served, Reason: Rewritten, Detail: detail}
}

// decideLocal decides about a name in the local registry.
func decideLocal(image string, name Name, presence Presence) Decision {
	switch {
	case presence.Served != "":
		return Unchanged(image, AlreadyLocal, "")
	case name.Digest() != "":
		return Unchanged(image, DigestNotHeld, "")
	case presence.Refusal != "":
		return Unchanged(image, presence.Refusal, presence.Detail)
	case presence.OnHost:
		return Unchanged(image, AlreadyLocalPushing, "")
	}
	return notOnHost(image, presence)
}
