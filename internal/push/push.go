package push

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
)

// Target names an image in the registry.
type Target struct {
	// Repository is the image's repository without the registry's host.
	Repository string
	// Reference is a tag or the digest of an image manifest.
	Reference string
}

// Options are the optional callbacks of a push. They must not block.
type Options struct {
	// Progress is called at the start, at the end and at most four times per second in between. Its calls are never concurrent.
	Progress func(Progress)
	// Fallback is called for each source that did not provide every blob, with the source's name and the cause. The push then
	// tries the next source.
	Fallback func(source string, cause error)
}

// Result describes a successful push.
type Result struct {
	// Digest is the image manifest's digest. The image can be pulled by this digest.
	Digest digest.Digest `json:"digest"`
	// Bytes is the total size of the uploaded blobs, and Uploaded is their number.
	Bytes    int64 `json:"bytes"`
	Uploaded int   `json:"uploaded"`
	// PresentBytes is the total size of the blobs that the registry already had, in any repository, and Present is their number.
	PresentBytes int64 `json:"presentBytes"`
	Present      int   `json:"present"`
	// Promised means that the image was promised, and not yet pushed: the registry serves it before it has the layers.
	Promised bool `json:"promised,omitempty"`
}

// ErrMismatch is returned if the last source provided a blob that does not match its digest. A retry cannot succeed, because
// that source has no other copy of the blob.
var ErrMismatch = errors.New("content does not match its digest")

// mismatch is the error for a blob of a source that does not match its digest. It wraps ErrMismatch.
type mismatch struct {
	digest digest.Digest
	err    error
}

func (e *mismatch) Error() string { return fmt.Sprintf("blob %s: %v", e.digest, e.err) }
func (e *mismatch) Unwrap() error { return e.err }

// Mismatched returns the digests of the blobs that a source provided with other content. err is an error that a fallback was
// called with.
func Mismatched(err error) (digests []digest.Digest) {
	switch e := err.(type) { //nolint:errorlint // it unwraps each error itself, because errors.As finds only the first
	case *mismatch:
		return []digest.Digest{e.digest}
	case interface{ Unwrap() error }:
		return Mismatched(e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			digests = append(digests, Mismatched(one)...)
		}
	}
	return digests
}

// Push uploads the image to the target, and returns when the image is present there. It tries the sources in order, each for
// the blobs that are still missing. If the registry fails, Push retries for some seconds and uploads only the blobs that the
// registry still lacks. The error wraps ErrMismatch if the last source provided a blob that does not match its digest. It wraps
// a *StatusError if the registry refused a request.
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

// retryDelays returns the pauses between attempts. Together they last about as long as a registry takes to restart.
func retryDelays() []time.Duration {
	return []time.Duration{250 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second}
}
