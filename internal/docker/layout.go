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

// Layout is how and where a daemon keeps its images.
type Layout struct {
	root       string // such as /var/lib/docker
	driver     string // of the graph, such as overlay2; or a snapshotter of containerd
	containerd bool   // whether it is the containerd image store
}

// NewLayout returns the layout of the daemon that has given info.
func NewLayout(info system.Info) Layout {
	return Layout{
		root: info.DockerRootDir, driver: info.Driver,
		// https://docs.docker.com/engine/storage/containerd
		containerd: slices.Contains(info.DriverStatus, [2]string{"driver-type", "io.containerd.snapshotter.v1"}),
	}
}

// Directories returns the directories on the daemon's host in which the layers of its images are files. Whoever can read
// them, at the same paths, can push faster; some of them may not exist.
func (l Layout) Directories() []string {
	switch {
	case l.containerd:
		const plugin = "io.containerd.content.v1.content"
		// The first is the daemon's own containerd, the second that of the system.
		return []string{filepath.Join(l.root, "containerd/daemon", plugin), filepath.Join("/var/lib/containerd", plugin)}
	case l.driver == "overlay2":
		return []string{filepath.Join(l.root, "image/overlay2"), filepath.Join(l.root, "overlay2")}
	}
	return nil
}

// layoutFor is how long the layout is taken for what it was: a daemon that is restarted may have another.
const layoutFor = time.Minute

// layout returns the daemon's layout.
func (c *Client) layout(ctx context.Context) (Layout, error) {
	c.mu.Lock()
	known, asked := c.known, c.asked
	c.mu.Unlock()
	if time.Since(asked) < layoutFor {
		return known, nil
	}
	found, err := c.api.Info(ctx, client.InfoOptions{})
	if err != nil {
		return Layout{}, fmt.Errorf("asking the Docker daemon where its images are: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known, c.asked = NewLayout(found.Info), time.Now()
	return c.known, nil
}
