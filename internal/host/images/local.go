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

const (
	// kindLabel is a label of every container that kind creates. Its value is the cluster's name.
	kindLabel = "io.x-k8s.kind.cluster"
	// nodeRepository is where kind publishes its node images.
	nodeRepository = "kindest/node"
)

// Local returns the names, sorted, of Docker's tagged images that a pod may want. It leaves out node images, images of this
// project, and names in the registry itself, which is registryHost in image references.
func Local(ctx context.Context, docker *engine.Engine, registryHost string) ([]string, error) {
	all, err := docker.Images(ctx, kindLabel)
	if err != nil {
		return nil, err
	}
	return names(all, registryHost), nil
}

// names returns the names of the images that a pod may want.
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

// wanted reports whether a pod may want the image of that name. Docker lists an untagged image as <none>:<none>, which is no
// name.
func wanted(tag, registryHost string) bool {
	name, err := rewrite.Parse(tag)
	if err != nil || name.Host() == registryHost {
		return false
	}
	repository := strings.TrimSuffix(name.Familiar(), ":"+name.Tag())
	return repository != nodeRepository && !strings.HasPrefix(repository, config.Name+"/")
}
