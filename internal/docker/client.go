package docker

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
	"github.com/moby/moby/client/pkg/versions"
	"github.com/opencontainers/go-digest"

	"kind-local-registry/webhook/rewrite"
)

// Client asks one Docker daemon. It may be used by several goroutines at once.
type Client struct{ api *client.Client }

// New returns a client of the daemon at host, such as unix:///var/run/docker.sock. It does not connect yet.
func New(host string) (*Client, error) {
	api, err := client.New(client.WithHost(host))
	if err != nil {
		return nil, fmt.Errorf("configuring the Docker client for %s: %w", host, err)
	}
	return &Client{api: api}, nil
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
	image := Image{
		ID:           digest.Digest(found.ID),
		OS:           found.Os,
		Architecture: found.Architecture,
		Size:         found.Size,
		unservable:   c.unservable(found),
	}
	for _, layer := range found.RootFS.Layers {
		image.Layers = append(image.Layers, digest.Digest(layer))
	}
	return image, image.validate()
}

// unservable says why the daemon's way of keeping the image does not fit the save source; "" where it does.
func (c *Client) unservable(found client.ImageInspectResult) string {
	// containerd's overlayfs snapshotter is not to be confused with Docker's own overlay2 driver.
	snapshotter := found.GraphDriver != nil && found.GraphDriver.Name == "overlayfs"
	switch {
	case found.Descriptor != nil || snapshotter:
		return containerdStore
	case versions.LessThan(c.api.ClientVersion(), oldestAPI):
		return "the Docker daemon is older than version 25; update it"
	}
	return ""
}

const (
	// oldestAPI is the version of Docker 25, the first to name the layers of a saved image by their digests.
	oldestAPI       = "1.44"
	containerdStore = "the Docker daemon keeps its images in the containerd image store, which is not supported yet; " +
		`set "features": {"containerd-snapshotter": false} in its daemon.json, restart it and build the image again`
)
