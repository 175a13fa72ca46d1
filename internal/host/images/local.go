package images

import (
	"context"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/image"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/engine"
	"kind-local-registry/internal/rewrite"
)

// nodeRepository is the repository in which kind publishes its node images.
const nodeRepository = "kindest/node"

// Local returns the sorted names of the tagged images in Docker that a pod might use. It omits node images, this project's own
// images, and references to the registry itself. registryHost is the registry's host in image references.
func Local(ctx context.Context, docker *engine.Engine, registryHost string) ([]string, error) {
	all, err := docker.Images(ctx, config.ClusterLabel)
	if err != nil {
		return nil, err
	}
	return names(all, registryHost), nil
}

// names returns the sorted names of the images that a pod might use.
func names(all []image.Summary, registryHost string) []string {
	var found []string
	for _, image := range all {
		if image.Labels[config.Label] != "" {
			continue
		}
		for _, tag := range image.RepoTags {
			if wanted(tag, registryHost) {
				found = append(found, tag)
			}
		}
	}
	slices.Sort(found)
	return found
}

// wanted reports whether a pod might use the image with that name. Docker lists an untagged image as <none>:<none>, which is not
// a valid name.
func wanted(tag, registryHost string) bool {
	name, err := rewrite.Parse(tag)
	if err != nil || name.Host() == registryHost {
		return false
	}
	repository := strings.TrimSuffix(name.Familiar(), ":"+name.Tag())
	return repository != nodeRepository && !strings.HasPrefix(repository, config.Name+"/")
}
