package docker

import (
	"fmt"

	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/rewrite"
)

// Image describes an image as the daemon reported it at the time of the request.
type Image struct {
	// Name is the reference or ID by which the image was requested.
	Name string
	// ID is the daemon's ID for the image. In Docker's own image store it is the digest of the image's config. In the
	// containerd image store it is the digest of the image manifest or index.
	ID digest.Digest
	// Containerd reports whether the image is in the containerd image store.
	Containerd bool
	// Manifest is the digest of the image manifest that a push from the containerd image store uploads. It is "" in Docker's own
	// image store, or if the digest is unknown before the push.
	Manifest digest.Digest
	// Layers are the layers' diffIDs, lowest layer first. A layer may occur more than once.
	Layers []digest.Digest
	// OS and Architecture are the values in the image's config, in the form of GOOS and GOARCH. Either may be "".
	OS, Architecture string
	// Size is the total size in bytes of the files in all layers. It is slightly smaller than the total size of the layers'
	// tars.
	Size int64
	// Pulled reports whether the daemon pulled the image from the repository in the requested reference, or pushed the image
	// there. If so, it is true for every tag of the image in that repository. It is false for a build, for an image from docker
	// load or docker commit, and for a docker tag of another repository's image. It is also false if the image was requested by
	// its ID, or if the daemon does not report the image's origin; the containerd image store reports it only since API 1.53.
	Pulled bool
}

// Refusal returns a *rewrite.Refusal with the reason WrongPlatform or Unservable if the image cannot be pushed, otherwise nil.
// It ignores the architecture, because an emulator on the host also works in the nodes.
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
