package docker

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/moby/moby/api/types/system"
	"github.com/moby/moby/client"
)

// Layout describes where a daemon stores its images.
type Layout struct {
	root       string // Docker's data directory, such as /var/lib/docker
	driver     string // a graph driver such as overlay2, or a containerd snapshotter
	containerd bool   // the daemon has the containerd image store
}

// NewLayout derives the layout from the daemon's info.
func NewLayout(info system.Info) Layout {
	return Layout{
		root: info.DockerRootDir, driver: info.Driver,
		// https://docs.docker.com/engine/storage/containerd
		containerd: slices.Contains(info.DriverStatus, [2]string{"driver-type", "io.containerd.snapshotter.v1"}),
	}
}

// Directories returns the directories on the daemon's host that contain the files of the images' layers. Some of the
// directories may not exist. A pusher that can read them at the same paths pushes faster.
func (l Layout) Directories() []string {
	switch {
	case l.containerd:
		const plugin = "io.containerd.content.v1.content"
		// These are the content stores of the containerd that the daemon runs, and of the system's containerd.
		return []string{filepath.Join(l.root, "containerd/daemon", plugin), filepath.Join("/var/lib/containerd", plugin)}
	case l.driver == "overlay2":
		return []string{filepath.Join(l.root, "image/overlay2"), filepath.Join(l.root, "overlay2")}
	}
	return nil
}

// layoutTTL is how long the layout is cached. The layout may change when the daemon restarts.
const layoutTTL = time.Minute

// layout returns the daemon's layout, which may be cached.
func (c *Client) layout(ctx context.Context) (Layout, error) {
	c.mu.Lock()
	known, fetched := c.known, c.fetched
	c.mu.Unlock()
	if time.Since(fetched) < layoutTTL {
		return known, nil
	}
	found, err := c.api.Info(ctx, client.InfoOptions{})
	if err != nil {
		return Layout{}, fmt.Errorf("reading the Docker daemon's storage layout: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known, c.fetched = NewLayout(found.Info), time.Now()
	return c.known, nil
}
