package push

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"
)

// Image is what is to be in the registry.
type Image struct {
	// Config is the digest of the image's configuration; Docker's image ID is that.
	Config digest.Digest
	// Layers are the digests of the uncompressed layers, lowest first. One may stand there twice.
	Layers []digest.Digest
	// Size is the size of the image in bytes, as far as it is known; progress is measured by it, and nothing else.
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
	// Blobs calls yield once for each blob in want, in any order. A source that can read several blobs at the same time
	// may call yield from several goroutines; it returns after the last of them has ended. It stops, and returns the
	// error, when yield returns one. The reader gives size bytes; they need not be verified.
	Blobs(ctx context.Context, want []digest.Digest, yield func(d digest.Digest, size int64, blob io.Reader) error) error
}

// Result is what a push came to.
type Result struct {
	// Digest is the digest of the manifest, by which the image can be pulled.
	Digest digest.Digest `json:"digest"`
	// Bytes and Uploaded are the size and the number of the blobs that were moved.
	Bytes    int64 `json:"bytes"`
	Uploaded int   `json:"uploaded"`
	// Present is the number of blobs that were there already.
	Present int `json:"present"`
}

// Push makes the registry have the image at the target, whose reference is a tag. Blobs that are there are not asked of
// the source, and a source of which nothing is wanted is not asked at all. progress, where it is not nil, is called at
// the start, at the end and at most four times a second between them, never twice at a time.
func (r *Registry) Push(
	ctx context.Context, target Target, image Image, source Source, progress func(Progress),
) (Result, error) {
	sizes, err := r.sizes(ctx, target.Repository, image.blobs())
	if err != nil {
		return Result{}, err
	}
	result := Result{Present: len(sizes)}
	missing, present := split(image.blobs(), sizes)
	meter := newMeter(image.Size-present, progress)
	if len(missing) > 0 {
		moved, err := r.move(ctx, target.Repository, missing, source, meter)
		if err != nil {
			return Result{}, err
		}
		for d, size := range moved {
			sizes[d] = size
			result.Bytes += size
			result.Uploaded++
		}
	}
	meter.finish()
	result.Digest, err = r.putManifest(ctx, target, image, sizes)
	return result, err
}

// split returns the blobs that are not in sizes, and the sum of the sizes of those that are.
func split(blobs []digest.Digest, sizes map[digest.Digest]int64) (missing []digest.Digest, present int64) {
	for _, d := range blobs {
		size, found := sizes[d]
		if !found {
			missing = append(missing, d)
		}
		present += size
	}
	return missing, present
}

// move uploads the missing blobs from the source, and returns their sizes.
func (r *Registry) move(
	ctx context.Context, repository string, missing []digest.Digest, source Source, meter *meter,
) (map[digest.Digest]int64, error) {
	var mu sync.Mutex
	moved := map[digest.Digest]int64{}
	err := source.Blobs(ctx, missing, func(d digest.Digest, size int64, blob io.Reader) error {
		if err := r.upload(ctx, repository, d, size, meter.reader(blob)); err != nil {
			return fmt.Errorf("uploading blob %s to %s: %w", d, repository, err)
		}
		mu.Lock()
		defer mu.Unlock()
		moved[d] = size
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, d := range missing {
		if _, found := moved[d]; !found {
			return nil, fmt.Errorf("the image's source did not give blob %s", d)
		}
	}
	return moved, nil
}

// sizes asks the registry for the sizes of the blobs, in parallel, and returns those of the blobs that it has. No blob
// of an image is empty: one that is has been damaged.
func (r *Registry) sizes(
	ctx context.Context, repository string, blobs []digest.Digest,
) (map[digest.Digest]int64, error) {
	var mu sync.Mutex
	sizes := map[digest.Digest]int64{}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelHeads)
	for _, d := range blobs {
		group.Go(func() error {
			size, err := r.size(ctx, repository, d)
			if err != nil {
				return fmt.Errorf("asking the registry for blob %s of %s: %w", d, repository, err)
			}
			if size > 0 {
				mu.Lock()
				defer mu.Unlock()
				sizes[d] = size
			}
			return nil
		})
	}
	return sizes, group.Wait()
}
