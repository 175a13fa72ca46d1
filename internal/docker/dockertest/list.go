package dockertest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// tags returns the image's names.
func (e *Engine) tags(image Image) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var tags []string
	for name, known := range e.images {
		if known.ID() == image.ID() && !strings.HasPrefix(name, "sha256:") {
			tags = append(tags, name)
		}
	}
	slices.Sort(tags)
	return tags
}

// list handles GET /images/json. Like Docker, it lists each image once, with its names.
func (e *Engine) list(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	holds := e.holds
	e.mu.Unlock()
	if holds != nil {
		select {
		case <-holds:
		case <-r.Context().Done():
			return
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	names := map[string][]string{}
	for name, image := range e.images {
		id := image.ID().String()
		if names[id] == nil {
			names[id] = []string{}
		}
		if !strings.HasPrefix(name, "sha256:") {
			names[id] = append(names[id], name)
		}
	}
	answer := []map[string]any{}
	for id, tags := range names {
		slices.Sort(tags)
		answer = append(answer, map[string]any{"Id": id, "RepoTags": tags, "Size": e.images[id].Size(), "RepoDigests": e.images[id].RepoDigests})
	}
	_ = json.NewEncoder(w).Encode(answer)
}
