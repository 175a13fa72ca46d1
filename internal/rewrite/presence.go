package rewrite

// Presence is the result of a lookup: the image that the host has under a name, and the one in the registry.
type Presence struct {
	// OnHost reports whether the host's Docker daemon has an image of this name.
	OnHost bool `json:"onHost"`
	// ImageID is the daemon's ID of that image, such as sha256:…
	ImageID string `json:"imageID,omitempty"`
	// Pulled reports whether the daemon pulled that image from the registry in the name, which may have a newer one. It is
	// false for an image built on the host, for a name in the local registry, and if the daemon does not record it.
	Pulled bool `json:"pulled,omitempty"`
	// Digest is the digest of the image manifest of exactly that build if it is present in the registry (with config and all
	// layers), otherwise "". If the name has a digest, this is that digest, provided the registry has it.
	Digest string `json:"digest,omitempty"`
	// Served is the digest of the image manifest that the registry serves under the name, of whatever build; "" for none.
	Served string `json:"served,omitempty"`
	// Refusal is the reason why the host's image cannot be pushed, and Detail explains it; "" if it can.
	Refusal Reason `json:"refusal,omitempty"`
	Detail  string `json:"detail,omitempty"`
}

// Lookup looks up a name on the host and in the registry. It returns an error if that is not possible now.
type Lookup func(Name) (Presence, error)
