package push

import (
	"context"
	"errors"
	"time"

	"github.com/opencontainers/go-digest"
)

// Target is the place of an image in the registry.
type Target struct {
	// Repository is the repository without the registry's host.
	Repository string
	// Reference is a tag or the digest of an image manifest.
	Reference string
}

// Options are the optional callbacks of a push. They must not block.
type Options struct {
	// Progress is called at the start, at the end and at most four times per second in between, never concurrently.
	Progress func(Progress)
	// Fallback is called with the name of each source that did not give every blob, and the cause; the next source is tried.
	Fallback func(source string, cause error)
}

// Result is the result of a push.
type Result struct {
	// Digest is the digest of the image manifest, by which the image can be pulled.
	Digest digest.Digest `json:"digest"`
	// Bytes and Uploaded are the total size and the number of the uploaded blobs.
	Bytes    int64 `json:"bytes"`
	Uploaded int   `json:"uploaded"`
	// PresentBytes and Present are those of the blobs that the registry already had, in any repository.
	PresentBytes int64 `json:"presentBytes"`
	Present      int   `json:"present"`
}

// ErrMismatch is the error of a push whose last source gave a blob that does not match its digest. A retry cannot succeed,
// because that source has no other copy.
var ErrMismatch = errors.New("content does not match its digest")

// Push uploads the image to the target, and returns when it is present there. It asks the sources in their order, each for the
// blobs that are still missing. A registry that fails is retried for some seconds, only with the blobs that it still lacks.
// The error wraps ErrMismatch if the last source gave other content, and a *StatusError if the registry refused a request.
func (r *Registry) Push(
	ctx context.Context, target Target, contents Contents, options Options,
) (Result, error) {
	sizes, err := manifestSizes(contents.Manifest)
	if err != nil {
		return Result{}, err
	}
	p := &transfer{registry: r, target: target, contents: contents, fallback: options.Fallback, manifestSizes: sizes}
	p.meter = newMeter(contents.Size, options.Progress)
	for attempt := 0; ; attempt++ {
		err := p.try(ctx)
		if err == nil {
			return p.result, nil
		}
		if !isTemporary(err) || attempt == len(retryDelays()) {
			return Result{}, err
		}
		select {
		case <-time.After(retryDelays()[attempt]):
		case <-ctx.Done():
			return Result{}, ctx.Err()
		}
	}
}

// retryDelays are the pauses between attempts. Their sum is about the time that a registry takes to restart.
func retryDelays() []time.Duration {
	return []time.Duration{250 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second}
}
