package watch

import (
	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/pusher"
	"kind-local-registry/internal/rewrite"
)

// hostImage is what is known about an image of the host.
type hostImage struct {
	presence rewrite.Presence         // of the last lookup
	asked    bool                     // whether a lookup was requested since the last event
	current  string                   // the ID of the build to which the host's tag refers; "" if it is unknown
	builds   map[digest.Digest]string // the builds' IDs, by the digest of the image manifest
}

// lookedUp records the result of a lookup.
func (h *hostImage) lookedUp(found rewrite.Presence) {
	h.presence, h.current = found, found.ImageID
	if found.Digest != "" {
		h.note(digest.Digest(found.Digest), found.ImageID)
	}
}

// happened records an event.
func (h *hostImage) happened(event pusher.Event) {
	switch event.Kind {
	case pusher.EventBuilt:
		h.current = event.ImageID.String()
	case pusher.EventAvailable:
		h.note(event.Digest, event.ImageID.String())
	}
}

// note records which build has that image manifest.
func (h *hostImage) note(d digest.Digest, id string) {
	if h.builds == nil {
		h.builds = map[digest.Digest]string{}
	}
	h.builds[d] = id
}

// newer reports whether the host's tag refers to another build than the one with that image manifest. It is false if that is unknown.
func (h *hostImage) newer(running digest.Digest) bool {
	switch build, known := h.builds[running]; {
	case running == "" || h.current == "":
		return false
	case known:
		return build != h.current
	case h.presence.ImageID != h.current: // the lookup was before the last build
		return false
	case h.presence.Digest != "":
		return h.presence.Digest != running.String()
	}
	// The registry does not have the host's build. What it has under the tag is another one.
	return h.presence.Served == running.String()
}

// canonical returns the name under which an image's events are recorded: the familiar name of the image on the host. Pods may name
// the image in the registry instead.
func canonical(image, registryHost string) string {
	name, err := rewrite.Parse(image)
	if err != nil {
		return image
	}
	if aliases := name.Aliases(registryHost); len(aliases) > 0 {
		name = aliases[0]
	}
	return name.Familiar()
}
