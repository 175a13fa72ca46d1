package rewrite

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
	// Refusal is why the host's image cannot be pushed; "" where it can.
	Refusal Reason `json:"refusal,omitempty"`
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

// Decide says what becomes of image, for the registry at registryHost. It asks lookup at most once, and not at all about
// what has no place in the registry.
func Decide(image, registryHost string, lookup Lookup) Decision {
	unchanged := func(reason Reason, detail string) Decision {
		return Decision{Image: image, Rewritten: image, Reason: reason, Detail: detail}
	}
	name, err := Parse(image)
	if err != nil {
		return unchanged(InvalidReference, err.Error())
	}
	target, err := name.Target(registryHost)
	if err != nil {
		return unchanged(Unmappable, err.Error())
	}
	held, err := lookup(name)
	if err != nil {
		return unchanged(LookupUnavailable, err.Error())
	}
	if name.Host() == registryHost {
		return unchanged(local(name, held), "")
	}
	switch {
	case held.Digest != "":
		return Decision{Image: image, Rewritten: target + "@" + held.Digest, Digest: held.Digest, Reason: Rewritten}
	case name.Digest() != "":
		return unchanged(DigestNotHeld, "")
	case held.Refusal != "":
		return unchanged(held.Refusal, "")
	case held.OnHost:
		return Decision{Image: image, Rewritten: target, Reason: RewrittenPushing}
	}
	return unchanged(NotOnHost, "")
}

// local decides about a name of the local registry itself.
func local(name Name, held Presence) Reason {
	switch {
	case held.Served != "":
		return AlreadyLocal
	case name.Digest() != "":
		return DigestNotHeld
	case held.Refusal != "":
		return held.Refusal
	case held.OnHost:
		return AlreadyLocalPushing
	}
	return NotOnHost
}
