package docker

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/client"
	"github.com/opencontainers/go-digest"
)

// Tagged is an image that has tags.
type Tagged struct {
	Image

	// Names are the image's tags, such as example/app:local.
	Names []string
	// Digests are the digests of image manifests in the daemon's references to the image. For each pull and push, Docker's own
	// image store has such a reference.
	Digests []digest.Digest
}

// Tagged returns all images that have tags. It inspects only the images of the containerd image store. For others, it
// returns only ID and Size.
func (c *Client) Tagged(ctx context.Context) ([]Tagged, error) {
	listed, err := c.api.ImageList(ctx, client.ImageListOptions{})
	if err != nil {
		return nil, fmt.Errorf("listing the Docker daemon's images: %w", err)
	}
	layout, err := c.layout(ctx)
	if err != nil {
		return nil, err
	}
	var images []Tagged
	for _, found := range listed.Items {
		names := tags(found)
		if len(names) == 0 {
			continue
		}
		tagged := Tagged{Image: Image{ID: digest.Digest(found.ID), Size: found.Size}, Names: names}
		if layout.containerd {
			if tagged.Image, err = c.Image(ctx, names[0]); err != nil {
				return nil, err
			}
		}
		for _, reference := range found.RepoDigests {
			_, d, _ := strings.Cut(reference, "@")
			tagged.Digests = append(tagged.Digests, digest.Digest(d))
		}
		images = append(images, tagged)
	}
	return images, nil
}

// Names returns the tags of all images, such as example/app:local. Unlike Tagged, it inspects no image.
func (c *Client) Names(ctx context.Context) ([]string, error) {
	listed, err := c.api.ImageList(ctx, client.ImageListOptions{})
	if err != nil {
		return nil, fmt.Errorf("listing the Docker daemon's images: %w", err)
	}
	var names []string
	for _, found := range listed.Items {
		names = append(names, tags(found)...)
	}
	return names, nil
}

// tags returns the tags of a listed image.
func tags(found image.Summary) []string {
	return slices.DeleteFunc(found.RepoTags, func(name string) bool { return name == "<none>:<none>" })
}

// IDs returns the IDs of all images, including those without tags.
func (c *Client) IDs(ctx context.Context) ([]digest.Digest, error) {
	listed, err := c.api.ImageList(ctx, client.ImageListOptions{All: true})
	if err != nil {
		return nil, fmt.Errorf("listing the Docker daemon's images: %w", err)
	}
	var ids []digest.Digest
	for _, found := range listed.Items {
		ids = append(ids, digest.Digest(found.ID))
	}
	return ids, nil
}
