//go:build api

package api

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"

	"kind-local-registry/internal/rewrite"
	"kind-local-registry/internal/similar"
	"kind-local-registry/webhook"
)

// image is an image on the fake host.
type image struct {
	// build distinguishes the builds of an image.
	build string
	// inRegistry means that the image is in the registry before any push.
	inRegistry bool
	// hangLookup makes every lookup of the image hang.
	hangLookup bool
	// lookupRefusal is the reason why the image cannot be pushed, if a lookup detects it.
	lookupRefusal rewrite.Reason
	// pushRefusal is the reason why the image cannot be pushed, if only the push detects it.
	pushRefusal rewrite.Reason
	// failures is how many pushes of the image fail before one succeeds.
	failures int
	// unblock is nil or a channel. Pushes block until the channel is closed.
	unblock chan struct{}
	// progress is reported by blocked pushes.
	progress webhook.Progress
}

// host is a fake host and its fake pusher, which looks up and pushes the host's images. These tests cover neither a real pusher
// nor a real registry.
type host struct {
	mu     sync.Mutex
	images map[string]*image
	begun  map[string]int // number of pushes that have begun, by image
	done   map[string]int // number of successful pushes, by image
	broken []webhook.BrokenPromise
	events *sync.Cond // signals a change of rebuilt; uses mu
	// rebuilt lists the images that were rebuilt, in order. An image's event is its index.
	rebuilt []string
}

// rebuild replaces the image with another build, which the registry has, and reports it.
func (h *host) rebuild(name, build string) {
	h.add(name, image{inRegistry: true, build: build})
	h.report(name)
}

// imageOfBuild returns a build that the registry lacks. Its push blocks until unblock is closed.
func imageOfBuild(build string, unblock chan struct{}) image {
	return image{build: build, unblock: unblock}
}

// report reports that the image's tag has moved.
func (h *host) report(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.rebuilt = append(h.rebuilt, name)
	h.events.Broadcast()
}

// ImageEvents implements app.Pusher.
func (h *host) ImageEvents(ctx context.Context, connected func(), each func(string)) error {
	stop := context.AfterFunc(ctx, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.events.Broadcast()
	})
	defer stop()
	h.mu.Lock()
	next := len(h.rebuilt)
	h.mu.Unlock()
	connected()
	for {
		h.mu.Lock()
		for next == len(h.rebuilt) && ctx.Err() == nil {
			h.events.Wait()
		}
		news := slices.Clone(h.rebuilt[next:])
		h.mu.Unlock()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		for _, name := range news {
			each(name)
		}
		next += len(news)
	}
}

// breakPromise makes the pusher report that a promise was broken.
func (h *host) breakPromise(broken webhook.BrokenPromise) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.broken = append(h.broken, broken)
}

// BrokenPromises implements app.Pusher.
func (h *host) BrokenPromises(context.Context) ([]webhook.BrokenPromise, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.broken), nil
}

// Promise implements app.Pusher. The fake host has no linker, so every image is pushed.
func (h *host) Promise(context.Context, string) (string, error) {
	return "", errors.New("no linker")
}

func newHost() *host {
	h := &host{images: map[string]*image{}, begun: map[string]int{}, done: map[string]int{}}
	h.events = sync.NewCond(&h.mu)
	return h
}

// add adds an image to the host and resets its push counts.
func (h *host) add(name string, i image) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.images[normal(name)] = &i
	h.begun[normal(name)] = 0
}

// remove removes an image from the host and the registry.
func (h *host) remove(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.images, normal(name))
}

// pushesBegun returns how many pushes of the image have begun.
func (h *host) pushesBegun(name string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.begun[normal(name)]
}

// pushesDone returns how many pushes of the image have succeeded.
func (h *host) pushesDone(name string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.done[normal(name)]
}

// Lookup implements lookup.Looker.
func (h *host) Lookup(ctx context.Context, name rewrite.Name) (rewrite.Presence, error) {
	h.mu.Lock()
	found, ok := h.images[name.String()]
	h.mu.Unlock()
	switch {
	case !ok:
		return h.similar(name), nil
	case found.hangLookup:
		<-ctx.Done()
		return rewrite.Presence{}, ctx.Err()
	case found.inRegistry:
		digest := digestOfBuild(name.String(), found.build)
		return rewrite.Presence{OnHost: true, Digest: digest, Served: digest}, nil
	}
	return rewrite.Presence{OnHost: true, Refusal: found.lookupRefusal}, nil
}

// similar returns the presence of an image that the host does not have.
func (h *host) similar(name rewrite.Name) (presence rewrite.Presence) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var names []rewrite.Name
	for image := range h.images {
		if known, err := rewrite.Parse(image); err == nil {
			names = append(names, known)
		}
	}
	for _, match := range similar.Find(name, names) {
		presence.Similar = append(presence.Similar, match.Name.Familiar())
		presence.Typo = presence.Typo || match.Typo
	}
	return presence
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
	if found.unblock != nil {
		select {
		case <-found.unblock:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.done[normal(name)]++
	if now := h.images[normal(name)]; now != nil && now.build == found.build {
		now.inRegistry = true
	}
	return digestOfBuild(name, found.build), nil
}

// begin counts a push. It returns an error if the push must fail.
func (h *host) begin(name string) (image, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	found, ok := h.images[normal(name)]
	if !ok {
		return image{}, &rewrite.Refusal{Reason: rewrite.NotOnHost, Detail: name}
	}
	h.begun[normal(name)]++
	if found.pushRefusal != "" {
		return image{}, &rewrite.Refusal{Reason: found.pushRefusal, Detail: "in a test"}
	}
	if found.failures > 0 {
		found.failures--
		return image{}, errors.New("the registry is unavailable (simulated by a test)")
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

// digestOf returns the image's digest in the fake registry.
func digestOf(name string) string { return digestOfBuild(name, "") }

// digestOfBuild returns the digest of one of the image's builds in the fake registry.
func digestOfBuild(name, build string) string {
	return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(normal(name)+build)))
}
