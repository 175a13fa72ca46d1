package docker

import (
	"fmt"

	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/rewrite"
)

// Image is an image of the daemon at the time of the request.
type Image struct {
	// ID is the daemon's ID of the image: the digest of its config, or in the containerd image store that of its image manifest
	// or index.
	ID digest.Digest
	// Containerd reports whether the image is in the containerd image store.
	Containerd bool
	// Manifest is the digest of the image manifest that a push of an image of the containerd image store puts. It is "" if that
	// is unknown before the push, and for Docker's own image store.
	Manifest digest.Digest
	// Layers are the diffIDs, lowest first. A layer may occur more than once.
	Layers []digest.Digest
	// OS and Architecture are those of the config, in the form of GOOS and GOARCH. Either may be "".
	OS, Architecture string
	// Size is the total size in bytes of the files in all layers, somewhat less than that of the layers' tars.
	Size int64
	// Pulled reports whether the daemon pulled the image from the registry that the requested reference names, or pushed it
	// there: not a build, docker load, docker commit or a tag of another repository's image. Every tag counts as pulled if the
	// image came from that repository. It is false for an image that was requested by its ID, and if the daemon does not tell:
	// a containerd image store before API 1.53.
	Pulled bool
}

// Refusal returns nil, or a *rewrite.Refusal with the reason WrongPlatform or Unservable if the image cannot be pushed. It
// ignores the architecture, because an emulator on the host also works in the nodes.
func (i Image) Refusal() error {
	switch {
	case i.OS != "" && i.OS != "linux":
		return &rewrite.Refusal{Reason: rewrite.WrongPlatform, Detail: "the image is for " + i.OS + ", the nodes run linux"}
	case len(i.Layers) == 0:
		return &rewrite.Refusal{Reason: rewrite.Unservable, Detail: "the image has no layers; no node can run it"}
	}
	return nil
}

// validate returns an error if a digest from the daemon is invalid.
func (i Image) validate() error {
	for _, d := range append([]digest.Digest{i.ID}, i.Layers...) {
		if err := d.Validate(); err != nil {
			return fmt.Errorf("invalid digest %q from the Docker daemon: %w", d, err)
		}
	}
	return nil
}
