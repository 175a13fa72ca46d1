package push

import (
	"context"
	"io"

	"github.com/opencontainers/go-digest"
)

// Contents describes an image to push: its blobs, its image manifest, and the sources to read the blobs from.
type Contents struct {
	// Config is the digest of the image's config.
	Config digest.Digest
	// Layers are the digests of the layers as they are pushed, lowest layer first. A layer may occur more than once.
	Layers []digest.Digest
	// Manifest is the image's own image manifest, byte for byte. It contains Config and Layers. It is nil if the image has
	// none, and the push then generates an image manifest with uncompressed layers. The containerd image store keeps image
	// manifests; Docker's own image store does not.
	Manifest []byte
	// Size is the image's estimated size in bytes. It is used only to report progress, and to limit how long a source may take
	// before it sends data.
	Size int64
	// Sources provide the blobs. The fastest source is first, and the last is one that every daemon has.
	Sources []Source
}

// Source provides the blobs of one image.
type Source interface {
	// Name returns the source's name in logs and metrics: overlay2, containerd or save.
	Name() string
	// Blobs calls yield at most once for each blob in want. The order is undefined and calls may be concurrent. Blobs returns
	// after the last call has returned. If yield fails, Blobs stops and returns that error unwrapped. If the source cannot
	// provide a blob, Blobs continues with the other blobs, and its error names the missing blobs and the causes.
	//
	// The reader that yield receives contains size bytes, or an unknown number of bytes if size is -1. The bytes are not
	// verified. The reader is invalid after yield has returned.
	Blobs(ctx context.Context, want []digest.Digest, yield func(d digest.Digest, size int64, blob io.Reader) error) error
}

// blobs returns the digests of the image's blobs, each digest once.
func (c Contents) blobs() []digest.Digest {
	var blobs []digest.Digest
	seen := map[digest.Digest]bool{}
	for _, d := range append([]digest.Digest{c.Config}, c.Layers...) {
		if !seen[d] {
			blobs = append(blobs, d)
		}
		seen[d] = true
	}
	return blobs
}
