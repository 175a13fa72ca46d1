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

// Client sends requests to a Docker daemon. It is safe for concurrent use.
type Client struct {
	api *client.Client

	mu      sync.Mutex
	known   Layout
	fetched time.Time // when the layout was fetched
	// manifests maps the IDs of images in the containerd image store to the digests of their image manifests.
	manifests map[digest.Digest]digest.Digest
	// sizes maps the diffIDs of layers to the sizes of the uncompressed layers in bytes.
	sizes map[digest.Digest]int64
}

// New returns a client of the daemon at an address such as unix:///var/run/docker.sock. It does not connect yet.
func New(host string) (*Client, error) {
	api, err := client.New(client.WithHost(host))
	if err != nil {
		return nil, fmt.Errorf("configuring the Docker client for %s: %w", host, err)
	}
	return &Client{api: api, manifests: map[digest.Digest]digest.Digest{}, sizes: map[digest.Digest]int64{}}, nil
}

// Address returns the daemon's address, such as unix:///var/run/docker.sock.
func (c *Client) Address() string { return c.api.DaemonHost() }

// Close closes idle connections.
func (c *Client) Close() error { return c.api.Close() }

// Image returns the image with the given reference or ID. If the daemon does not have the image, the error is a
// *rewrite.Refusal with the reason NotOnHost. After any other error, it is unknown whether the daemon has the image.
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
		Name:         name,
		ID:           digest.Digest(found.ID),
		OS:           found.Os,
		Architecture: found.Architecture,
		Size:         found.Size,
		Pulled:       pulled(layout, name, found),
	}
	if layout.containerd {
		image.Containerd, image.Manifest = true, c.manifestID(ctx, layout, found)
	}
	for _, layer := range found.RootFS.Layers {
		image.Layers = append(image.Layers, digest.Digest(layer))
	}
	return image, image.validate()
}
