package images

import (
	"context"
	"slices"

	"kind-local-registry/internal/host/engine"
)

// Tags returns the sorted names of all tagged images in Docker.
func Tags(ctx context.Context, docker *engine.Engine) ([]string, error) {
	all, err := docker.Images(ctx, "")
	if err != nil {
		return nil, err
	}
	var tags []string
	for i := range all {
		for _, tag := range all[i].RepoTags {
			if tag != "<none>:<none>" {
				tags = append(tags, tag)
			}
		}
	}
	slices.Sort(tags)
	return tags, nil
}
