package host

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/client"

	"kind-local-registry/config"
	"kind-local-registry/internal/rewrite"
)

// kindLabel is on every container that kind makes, with the cluster's name.
const kindLabel = "io.x-k8s.kind.cluster"

// nodeRepository is where kind publishes its node images.
const nodeRepository = "kindest/node"

// LocalImages returns the names, sorted, of the daemon's tagged images that a pod may want: all but node images, what
// setup made, and names in the local registry itself.
func (s *System) LocalImages(ctx context.Context) ([]string, error) {
	held, err := s.docker.ImageList(ctx, client.ImageListOptions{})
	if err != nil {
		return nil, fmt.Errorf("listing the images of Docker: %w", err)
	}
	nodes, err := s.docker.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: make(client.Filters).Add("label", kindLabel)})
	if err != nil {
		return nil, fmt.Errorf("listing the nodes of kind clusters: %w", err)
	}
	nodeImages := map[string]bool{}
	for _, node := range nodes.Items {
		nodeImages[node.ImageID] = true
	}
	held.Items = slices.DeleteFunc(held.Items, func(i image.Summary) bool { return nodeImages[i.ID] })
	return localImages(held.Items, s.registryHost()), nil
}

// localImages returns the names of those images that a pod may want.
func localImages(held []image.Summary, registryHost string) []string {
	var names []string
	for _, image := range held {
		if image.Labels[config.Label] != "" {
			continue
		}
		for _, tag := range image.RepoTags {
			if wanted(tag, registryHost) {
				names = append(names, tag)
			}
		}
	}
	slices.Sort(names)
	return names
}

// wanted says whether a pod may want the image of that name. What has no tag stands as <none>:<none> in the list.
func wanted(tag, registryHost string) bool {
	name, err := rewrite.Parse(tag)
	if err != nil || name.Host() == registryHost {
		return false
	}
	repository := strings.TrimSuffix(name.Familiar(), ":"+name.Tag())
	return repository != nodeRepository && !strings.HasPrefix(repository, config.Name+"/")
}
