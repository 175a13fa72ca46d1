package push

import (
	"context"
	"io"

	"github.com/opencontainers/go-digest"
)

// Contents describes an image to push: its blobs, its image manifest, and the sources of the blobs.
type Contents struct {
	// Config is the digest of the image's config.
	Config digest.Digest
	// Layers are the digests of the layers as they are pushed, lowest first. A layer may occur more than once.
	Layers []digest.Digest
	// Manifest is the image's own image manifest, byte for byte, which names Config and Layers. If it is nil, the push makes
	// one of uncompressed layers: Docker's own image store keeps no manifests, the containerd image store does.
	Manifest []byte
	// Size is the estimated size of the image in bytes. It serves only for progress and for the time that a source may be
	// quiet.
	Size int64
	// Sources give the blobs, the fastest first. Every daemon has the last one.
	Sources []Source
}

// Source gives the blobs of one image.
type Source interface {
	// Name is the source's name in logs and metrics: overlay2, containerd or save.
	Name() string
	// Blobs calls yield at most once for each blob in want, in any order, possibly concurrently, and returns after the last
	// call has returned. When yield fails, Blobs stops and returns that error unwrapped. A blob that the source cannot give is
	// not yielded: Blobs continues with the others, and its error names the missing blobs and the causes. The reader gives
	// size bytes, or an unknown number if size is -1. Its bytes are not verified, and it is invalid after yield has returned.
	Blobs(ctx context.Context, want []digest.Digest, yield func(d digest.Digest, size int64, blob io.Reader) error) error
}

// blobs returns the digest of every blob of the image, once.
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
