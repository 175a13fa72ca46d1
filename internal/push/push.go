package push

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/opencontainers/go-digest"
)

// Image is what is to be in the registry.
type Image struct {
	// Config is the digest of the image's configuration.
	Config digest.Digest
	// Layers are the digests of the layers as they are moved, lowest first. One may stand there twice.
	Layers []digest.Digest
	// Manifest is the image's own manifest, which names Config and Layers. It is put into the registry as it is; where it
	// is nil, one is made, of layers that are not compressed.
	Manifest []byte
	// Size is the size of the image in bytes, as far as it is known; progress is measured by it, and how long a source may
	// be quiet, and nothing else.
	Size int64
}

// blobs returns the digest of every blob of the image, once.
func (i Image) blobs() []digest.Digest {
	var blobs []digest.Digest
	seen := map[digest.Digest]bool{}
	for _, d := range append([]digest.Digest{i.Config}, i.Layers...) {
		if !seen[d] {
			blobs = append(blobs, d)
		}
		seen[d] = true
	}
	return blobs
}

// Target is where in the registry an image is, or is to be.
type Target struct {
	// Repository is the name of the repository, without the registry's host.
	Repository string
	// Reference is a tag, or a manifest's digest.
	Reference string
}

// Source gives the blobs of one image.
type Source interface {
	// Name is what logs and metrics call the source.
	Name() string
	// Blobs calls yield at most once for each blob in want, in any order. A source that can read several blobs at the same
	// time may call yield from several goroutines; it returns after the last of them has ended. It stops, and returns the
	// error, when yield returns one. A blob that it cannot give is not yielded: the source goes on, and its error says at
	// the end which and why. The reader gives size bytes, or as many as there are where size is -1; they need not be
	// verified.
	Blobs(ctx context.Context, want []digest.Digest, yield func(d digest.Digest, size int64, blob io.Reader) error) error
}

// Options are what a push can do without. Their functions must not block.
type Options struct {
	// Progress is called at the start, at the end and at most four times a second between them, never twice at a time.
	Progress func(Progress)
	// HandOver is told of each source that could not give all that was asked of it, and why; the next one is asked then.
	HandOver func(source string, cause error)
}

// Result is what a push came to.
type Result struct {
	// Digest is the digest of the manifest, by which the image can be pulled.
	Digest digest.Digest `json:"digest"`
	// Bytes and Uploaded are the size and the number of the blobs that were moved.
	Bytes    int64 `json:"bytes"`
	Uploaded int   `json:"uploaded"`
	// PresentBytes and Present are those of the blobs that were there already, in whatever repository.
	PresentBytes int64 `json:"presentBytes"`
	Present      int   `json:"present"`
}

// ErrMismatch is the error of a push whose last source gave a blob that is not what its digest says. Asking again is of no
// use: that source has nothing else.
var ErrMismatch = errors.New("the content is not that of the digest")

// Push makes the registry have the image at the target. Blobs that are there are not asked of the sources, and a source
// of which nothing is wanted is not asked at all. The sources are tried in their order, each for what is missing still.
// A registry that fails is tried again for some seconds, and only with what it still lacks by then.
func (r *Registry) Push(
	ctx context.Context, target Target, image Image, sources []Source, options Options,
) (Result, error) {
	own, err := ownSizes(image.Manifest)
	if err != nil {
		return Result{}, err
	}
	p := &transfer{registry: r, target: target, image: image, sources: sources, handOver: options.HandOver, own: own}
	p.meter = newMeter(image.Size, options.Progress)
	for attempt := 0; ; attempt++ {
		err := p.try(ctx)
		if err == nil {
			return p.result, nil
		}
		if !passes(err) || attempt == len(pauses()) {
			return Result{}, err
		}
		select {
		case <-time.After(pauses()[attempt]):
		case <-ctx.Done():
			return Result{}, ctx.Err()
		}
	}
}

// pauses are the times between the attempts: as long, all in all, as a registry takes to start again.
func pauses() []time.Duration {
	return []time.Duration{250 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second}
}
