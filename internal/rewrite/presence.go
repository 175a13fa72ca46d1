package rewrite

// Presence is the result of a lookup. It describes the image that the host has under a name, and the image that the registry
// has.
type Presence struct {
	// OnHost reports whether the host's Docker daemon has an image with this name.
	OnHost bool `json:"onHost"`
	// ImageID is the daemon's ID for that image, such as sha256:…
	ImageID string `json:"imageID,omitempty"`
	// Pulled reports whether the daemon pulled that image from the registry in the name. That registry may have a newer image.
	// Pulled is false for an image built on the host, for a name in the local registry, and if the daemon does not record the
	// origin.
	Pulled bool `json:"pulled,omitempty"`
	// Digest is the image manifest's digest if exactly the build on the host is present in the registry, otherwise "". For a name
	// with a digest, Digest is that digest if the registry has the image.
	Digest string `json:"digest,omitempty"`
	// Served is the digest of the image manifest that the registry serves under the name, regardless of the build. It is "" if
	// the registry serves none.
	Served string `json:"served,omitempty"`
	// Archive reports whether the image that the registry serves was pushed from an archive. Pods run it as long as the host has no
	// image with this name.
	Archive bool `json:"archive,omitempty"`
	// Refusal is the reason why the image on the host cannot be pushed, and Detail explains it. Both are "" if it can be
	// pushed.
	Refusal Reason `json:"refusal,omitempty"`
	Detail  string `json:"detail,omitempty"`
	// Similar are tags of the host that the user may have meant, the most similar first. They are set only if the host has no image
	// with the name, and are at most three.
	Similar []string `json:"similar,omitempty"`
	// Typo reports whether the name differs only by a typing error from one of Similar whose image was built on the host. Only then
	// is a warning justified.
	Typo bool `json:"typo,omitempty"`
}

// Lookup looks a name up on the host and in the registry. It returns an error if that is currently impossible.
type Lookup func(Name) (Presence, error)
