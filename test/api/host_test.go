//go:build api

package api

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"

	"kind-local-registry/internal/rewrite"
	"kind-local-registry/webhook"
)

// image is an image on the host of a test.
type image struct {
	// inRegistry says that the registry has it before any push.
	inRegistry bool
	// hang keeps every look-up of it from an answer.
	hang bool
	// unfit is why it cannot be pushed, where a look-up can tell.
	unfit rewrite.Reason
	// refusal is why it can never be pushed, where only the push can.
	refusal rewrite.Reason
	// failures is how many pushes of it fail before one succeeds.
	failures int
	// pushing, where it is not nil, holds pushes back until it is closed.
	pushing chan struct{}
	// progress is how far pushes are while they are held back.
	progress webhook.Progress
}

// host stands where the pusher stands: it says what the host has, and pushes it. Everything behind it is not under test
// here.
type host struct {
	mu     sync.Mutex
	images map[string]*image
	pushes map[string]int // that were begun
	ended  map[string]int // that succeeded
}

func newHost() *host {
	return &host{images: map[string]*image{}, pushes: map[string]int{}, ended: map[string]int{}}
}

// have puts an image on the host, which was never pushed.
func (h *host) have(name string, i image) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.images[normal(name)] = &i
	h.pushes[normal(name)] = 0
}

// pushed returns how often a push of the image was begun.
func (h *host) pushed(name string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.pushes[normal(name)]
}

// done returns how many pushes of the image succeeded.
func (h *host) done(name string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ended[normal(name)]
}

// Lookup implements lookup.Looker.
func (h *host) Lookup(ctx context.Context, name rewrite.Name) (rewrite.Presence, error) {
	h.mu.Lock()
	found, ok := h.images[name.String()]
	h.mu.Unlock()
	switch {
	case !ok:
		return rewrite.Presence{}, nil
	case found.hang:
		<-ctx.Done()
		return rewrite.Presence{}, ctx.Err()
	case found.inRegistry:
		return rewrite.Presence{OnHost: true, Digest: digestOf(name.String()), Served: digestOf(name.String())}, nil
	}
	return rewrite.Presence{OnHost: true, Refusal: found.unfit}, nil
}

// Push implements webhook.Pusher.
func (h *host) Push(ctx context.Context, name string, progress func(webhook.Progress)) (string, error) {
	found, err := h.begin(name)
	if err != nil {
		return "", err
	}
	if progress != nil {
		progress(found.progress)
	}
	if found.pushing != nil {
		select {
		case <-found.pushing:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended[normal(name)]++
	return digestOf(name), nil
}

// begin counts a push, and fails it where it is to fail.
func (h *host) begin(name string) (image, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	found, ok := h.images[normal(name)]
	if !ok {
		return image{}, &rewrite.Refusal{Reason: rewrite.NotOnHost, Detail: name}
	}
	h.pushes[normal(name)]++
	if found.refusal != "" {
		return image{}, &rewrite.Refusal{Reason: found.refusal, Detail: "in a test"}
	}
	if found.failures > 0 {
		found.failures--
		return image{}, errors.New("the registry is not there, in a test")
	}
	return *found, nil
}

// normal returns the normalised name.
func normal(name string) string {
	parsed, err := rewrite.Parse(name)
	if err != nil {
		return name
	}
	return parsed.String()
}

// digestOf returns the digest that the registry of a test has the image under.
func digestOf(name string) string {
	return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(normal(name))))
}
