package docker

import (
	"fmt"

	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/rewrite"
)

// Image is one image of the daemon, as it was when it was asked.
type Image struct {
	// ID is the daemon's ID of the image: the digest of its configuration, or in the containerd image store that of its
	// manifest or index.
	ID digest.Digest
	// Stored says that the image is in the containerd image store.
	Stored bool
	// Manifest is the digest of the manifest that is pushed of an image of the containerd image store; "" where that is not
	// known before the push, and for any other image.
	Manifest digest.Digest
	// Layers are the layers' diffIDs, the digests of their uncompressed tars, lowest first. One may stand there twice.
	Layers []digest.Digest
	// OS and Architecture are those of the configuration, as GOOS and GOARCH write them; each may be "".
	OS, Architecture string
	// Size is the size in bytes of the files in all layers, somewhat less than that of the layers' tars.
	Size int64
	// Pulled says that the daemon is known to have the image from the registry that the name says by which it was asked
	// for, or to have pushed it there: not from a build, docker load, docker commit or a tag of another repository's image.
	// Any tag of a repository counts as pulled where the image came from that repository. It is false for an image that was
	// asked for by its ID, and where the daemon does not tell: a containerd image store before API 1.53.
	Pulled bool
}

// Refusal returns why the image cannot be pushed, as a *rewrite.Refusal with the reason WrongPlatform or Unservable, or
// nil where it can. The architecture is not looked at: an emulator on the host serves the nodes too.
func (i Image) Refusal() error {
	switch {
	case i.OS != "" && i.OS != "linux":
		return &rewrite.Refusal{Reason: rewrite.WrongPlatform, Detail: "the image is for " + i.OS + ", the nodes run linux"}
	case len(i.Layers) == 0:
		return &rewrite.Refusal{Reason: rewrite.Unservable, Detail: "the image has no layers; no node can run it"}
	}
	return nil
}

// validate says whether every digest that the daemon gave is one.
func (i Image) validate() error {
	for _, d := range append([]digest.Digest{i.ID}, i.Layers...) {
		if err := d.Validate(); err != nil {
			return fmt.Errorf("the Docker daemon gave %q as a digest: %w", d, err)
		}
	}
	return nil
}
