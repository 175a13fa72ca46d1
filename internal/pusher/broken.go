package pusher

import (
	"context"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/promise"
)

// The reasons of broken promises. They are also the reasons of the Events about pods that run the image.
const (
	reasonChanged   = "LayersChanged"
	reasonWithdrawn = "PromiseWithdrawn"
)

const (
	// brokenTime is how long a broken promise is reported. The webhook asks every few seconds.
	brokenTime = 10 * time.Minute
	// maxBroken is how many broken promises are reported at most.
	maxBroken = 100
)

// BrokenPromise is a promise that pods relied on and that was broken.
type BrokenPromise struct {
	// Image is the image's reference on the host, and Digest is the digest of the promised image manifest.
	Image  string        `json:"image"`
	Digest digest.Digest `json:"digest"`
	// Reason is LayersChanged if the files that nodes may have linked do not match the layers' digests, or PromiseWithdrawn if
	// the image can no longer be pulled. Both may apply.
	Reason string `json:"reason"`
	// Detail describes the consequence and the cause.
	Detail string `json:"detail"`
	// At is when the promise was broken.
	At time.Time `json:"at"`
}

// BrokenPromises returns the promises that were broken in the last ten minutes.
func (s *Service) BrokenPromises(context.Context) ([]BrokenPromise, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expireBroken()
	return slices.Clone(s.broken), nil
}

// noteBroken records a broken promise. It records changed layers only once, although every attempt to push the image finds them.
func (s *Service) noteBroken(p promise.Promise, reason, detail string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := func(b BrokenPromise) bool { return b.Digest == p.Digest() && b.Reason == reason }
	if reason == reasonChanged && slices.ContainsFunc(s.broken, known) {
		return
	}
	s.broken = append(s.broken, BrokenPromise{Image: p.Name, Digest: p.Digest(), Reason: reason, Detail: detail, At: time.Now().UTC()})
	s.expireBroken()
}

// expireBroken removes the promises that are no longer reported. s.mu must be locked.
func (s *Service) expireBroken() {
	s.broken = slices.DeleteFunc(s.broken, func(b BrokenPromise) bool { return time.Since(b.At) > brokenTime })
	s.broken = s.broken[max(0, len(s.broken)-maxBroken):]
}

// promisesOf returns the promises of the image that have not been kept yet.
func (s *Service) promisesOf(imageID digest.Digest) (of []promise.Promise) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.promised {
		if p.ImageID == imageID {
			of = append(of, p)
		}
	}
	return of
}
