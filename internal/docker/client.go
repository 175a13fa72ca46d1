package docker

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/rewrite"
)

// Client asks one Docker daemon. It may be used by several goroutines at once.
type Client struct {
	api *client.Client

	mu    sync.Mutex
	known Layout
	asked time.Time // when the layout was; long ago at first
	// manifests are, by the ID of an image of the containerd image store, the manifests that were found for it.
	manifests map[digest.Digest]digest.Digest
}

// New returns a client of the daemon at host, such as unix:///var/run/docker.sock. It does not connect yet.
func New(host string) (*Client, error) {
	api, err := client.New(client.WithHost(host))
	if err != nil {
		return nil, fmt.Errorf("configuring the Docker client for %s: %w", host, err)
	}
	return &Client{api: api, manifests: map[digest.Digest]digest.Digest{}}, nil
}

// Close closes the connections that are idle.
func (c *Client) Close() error { return c.api.Close() }

// Image resolves a name or an ID to an image. For a name that the daemon does not know the error is a *rewrite.Refusal
// with the reason NotOnHost; any other error means that the daemon could not be asked.
func (c *Client) Image(ctx context.Context, name string) (Image, error) {
	found, err := c.api.ImageInspect(ctx, name)
	if errdefs.IsNotFound(err) {
		return Image{}, &rewrite.Refusal{Reason: rewrite.NotOnHost, Detail: "the Docker daemon has no image " + name}
	}
	if err != nil {
		return Image{}, fmt.Errorf("inspecting image %s: %w", name, err)
	}
	layout, err := c.layout(ctx)
	if err != nil {
		return Image{}, err
	}
	image := Image{
		ID:           digest.Digest(found.ID),
		OS:           found.Os,
		Architecture: found.Architecture,
		Size:         found.Size,
		Pulled:       pulled(layout, name, found),
	}
	if layout.containerd {
		image.Stored, image.Manifest = true, c.manifestID(ctx, layout, found)
	}
	for _, layer := range found.RootFS.Layers {
		image.Layers = append(image.Layers, digest.Digest(layer))
	}
	return image, image.validate()
}
