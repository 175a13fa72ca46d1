package push

import (
	"context"
	"errors"
	"time"

	"github.com/opencontainers/go-digest"
)

// Target is where in the registry an image is, or is to be.
type Target struct {
	// Repository is the name of the repository, without the registry's host.
	Repository string
	// Reference is a tag, or a manifest's digest.
	Reference string
}

// Options are what a push can do without. Their functions must not block.
type Options struct {
	// Progress is called at the start, at the end and at most four times a second between them, never twice at a time.
	Progress func(Progress)
	// Fallback is called with the name of each source that did not give every blob, and the cause; the next source is tried.
	Fallback func(source string, cause error)
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
	ctx context.Context, target Target, contents Contents, options Options,
) (Result, error) {
	own, err := ownSizes(contents.Manifest)
	if err != nil {
		return Result{}, err
	}
	p := &transfer{registry: r, target: target, contents: contents, fallback: options.Fallback, own: own}
	p.meter = newMeter(contents.Size, options.Progress)
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
