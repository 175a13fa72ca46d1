package livepod

import (
	"context"
	"sync"
	"time"

	"kind-local-registry/internal/link/linkapi"
	"kind-local-registry/internal/rewrite"
)

// Build compares what a container runs with the build that the host has now under the original image's name.
type Build string

// The results of the comparison.
const (
	// Current means that the pod has the host's build.
	Current Build = "current"
	// Newer means that the pod has another build than the host, usually an older one.
	Newer Build = "newer"
	// Pushing means that the registry does not have the pod's build completely, but a push to it is under way or still to come.
	Pushing Build = "pushing"
	// NotUsed means that the host has the image, but the pod runs the original image, which is another build.
	NotUsed Build = "not used"
	// Absent means that the host has no such image.
	Absent Build = "absent"
	// Refused means that the host has the image, but the registry cannot serve it.
	Refused Build = "refused"
	// NotLookedUp means that the image is not looked up, because of the reason of the decision now.
	NotLookedUp Build = "not looked up"
	// Unknown means that the lookup failed.
	Unknown Build = "unknown"
)

// lookupTimeout limits a lookup that is not part of a decision.
const lookupTimeout = 2 * time.Second

// Pusher answers about the host's images. *pusher.Client implements it.
type Pusher interface {
	// Lookup looks up an image on the host and in the registry.
	Lookup(ctx context.Context, name rewrite.Name) (rewrite.Presence, error)
	// NodeLayers reports how many layers of the host's build each node has. It returns none if layers are not linked.
	NodeLayers(ctx context.Context, image string) ([]linkapi.NodeLayers, error)
}

// answers is a lookup.Looker that remembers the answers, so that they are those on which the decisions are based.
type answers struct {
	pusher Pusher

	mu     sync.Mutex
	byName map[rewrite.Name]rewrite.Presence
}

// Lookup implements lookup.Looker.
func (a *answers) Lookup(ctx context.Context, name rewrite.Name) (rewrite.Presence, error) {
	presence, err := a.pusher.Lookup(ctx, name)
	if err == nil {
		a.mu.Lock()
		a.byName[name] = presence
		a.mu.Unlock()
	}
	return presence, err
}

// of returns the remembered answer about an image.
func (a *answers) of(image string) (presence rewrite.Presence, known bool) {
	name, err := rewrite.Parse(image)
	if err != nil {
		return rewrite.Presence{}, false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	presence, known = a.byName[name]
	return presence, known
}

// compare compares what the image's container runs with the host's build.
func (a *answers) compare(ctx context.Context, image *Image) Build {
	presence, known := a.of(image.Original)
	switch {
	case image.Now.Reason == rewrite.LookupUnavailable:
		return Unknown
	case !known:
		return NotLookedUp
	case image.Digest != "" && (image.Digest == presence.Digest || image.Digest == presence.ImageID):
		return Current
	case image.Waits && presence.OnHost:
		return Pushing
	case presence.Digest == "" && presence.Refusal != "":
		return Refused
	case !presence.OnHost:
		return Absent
	case !image.Rewritten:
		return NotUsed
	}
	return a.compareRewritten(ctx, image, presence)
}

// compareRewritten compares a rewritten image with another build, or with one that the registry does not have yet.
func (a *answers) compareRewritten(ctx context.Context, image *Image, presence rewrite.Presence) Build {
	switch {
	case presence.Digest == "" && !a.complete(ctx, image):
		return Pushing
	case image.Digest == "": // the container has not started, and will run what the registry has by then
		return Current
	}
	return Newer
}

// complete reports whether the registry has the pod's build completely. If it does not, the build is a promise that the pusher is
// about to keep. A tag that has moved again since then is not noticed.
func (a *answers) complete(ctx context.Context, image *Image) bool {
	name, err := rewrite.Parse(image.Original)
	if err != nil {
		return true
	}
	target, err := name.Target(image.registryHost)
	if err != nil {
		return true
	}
	pinned, err := rewrite.Parse(target + "@" + image.Digest)
	if err != nil {
		return false // there is no digest yet
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	presence, err := a.pusher.Lookup(ctx, pinned)
	return err == nil && presence.Served != ""
}
