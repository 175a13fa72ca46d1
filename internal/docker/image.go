package docker

import (
	"fmt"

	"github.com/opencontainers/go-digest"

	"kind-local-registry/webhook/rewrite"
)

// Image is one image of the daemon, as it was when it was asked.
type Image struct {
	// ID is the daemon's ID of the image: the digest of its configuration.
	ID digest.Digest
	// Layers are the layers' diffIDs, the digests of their uncompressed tars, lowest first. One may stand there twice.
	Layers []digest.Digest
	// OS and Architecture are those of the configuration, as GOOS and GOARCH write them; each may be "".
	OS, Architecture string
	// Size is the size in bytes of the files in all layers, somewhat less than that of the layers' tars.
	Size int64

	unservable string
}

// Refusal returns why the image cannot be pushed, as a *rewrite.Refusal with the reason WrongPlatform or Unservable, or
// nil where it can. The architecture is not looked at: an emulator on the host serves the nodes too.
func (i Image) Refusal() error {
	switch {
	case i.OS != "" && i.OS != "linux":
		return &rewrite.Refusal{Reason: rewrite.WrongPlatform, Detail: "the image is for " + i.OS + ", the nodes run linux"}
	case len(i.Layers) == 0:
		return &rewrite.Refusal{Reason: rewrite.Unservable, Detail: "the image has no layers; Docker cannot save it"}
	case i.unservable != "":
		return &rewrite.Refusal{Reason: rewrite.Unservable, Detail: i.unservable}
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
