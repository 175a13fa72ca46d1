package docker

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/system"
	"github.com/moby/moby/client"
)

// Layout describes where a daemon stores its images.
type Layout struct {
	root       string // Docker's data directory, such as /var/lib/docker
	driver     string // a graph driver such as overlay2, or a containerd snapshotter
	containerd bool   // the daemon has the containerd image store
	store      Store  // the containerd that keeps the layers, if containerd is true
	shared     string // the directory that contains both the layers and the volumes
	unshared   error  // why the layers' directories cannot be shared; nil if they can
}

// NewLayout derives the layout from the daemon's info.
func NewLayout(info system.Info) Layout {
	l := Layout{
		root: info.DockerRootDir, shared: info.DockerRootDir, driver: info.Driver,
		// https://docs.docker.com/engine/storage/containerd
		containerd: slices.Contains(info.DriverStatus, [2]string{"driver-type", "io.containerd.snapshotter.v1"}),
	}
	if l.containerd {
		l.store = storeOf(info)
		l.shared = sharedDirectory(l.root, l.store)
	}
	l.unshared = unshared(l, info)
	return l
}

// The reasons why another overlayfs cannot share the directories of the daemon's layers.
var (
	// ErrStorageDriver means that the daemon does not store layers as directories that overlayfs can use.
	ErrStorageDriver = errors.New("the Docker daemon does not store layers as overlayfs directories")
	// ErrOverlayFeature means that a directory may depend on the directories of lower layers.
	ErrOverlayFeature = errors.New("the Docker daemon uses overlayfs's metacopy or redirect_dir")
	// ErrRemappedUsers means that the files' owners differ from those in the image.
	ErrRemappedUsers = errors.New("the Docker daemon runs containers in a user namespace")
	// ErrSeparateDirectories means that no mount can contain both the layers and the volumes.
	ErrSeparateDirectories = errors.New("only the root directory contains both the Docker daemon's layers and its volumes")
)

// unshared returns why another overlayfs cannot share the directories of the daemon's layers, or nil. The overlayfs features do not
// matter to the containerd image store: containerd unpacks each layer into the layer's directory, and not into a mounted overlayfs
// (https://github.com/containerd/containerd/blob/v2.3.4/core/diff/apply/apply_linux.go).
func unshared(l Layout, info system.Info) error {
	// Each option is "name=rootless" or "name=userns", possibly with more after a comma.
	remapped := func(option string) bool {
		name, _, _ := strings.Cut(option, ",")
		return name == "name=rootless" || name == "name=userns"
	}
	switch {
	case slices.ContainsFunc(info.SecurityOptions, remapped):
		return ErrRemappedUsers
	case l.containerd && l.driver == "overlayfs" && l.shared == "/":
		return ErrSeparateDirectories
	case l.containerd && l.driver == "overlayfs":
		return nil
	case l.driver != "overlay2":
		return wrongDriver(l.driver)
	case slices.Contains(info.DriverStatus, [2]string{"Using metacopy", "true"}),
		slices.Contains(info.DriverStatus, [2]string{"Native Overlay Diff", "false"}): // as with redirect_dir
		return ErrOverlayFeature
	}
	return nil
}

// wrongDriver returns an ErrStorageDriver that names the driver.
func wrongDriver(driver string) error {
	return fmt.Errorf("%w: its storage driver is %s", ErrStorageDriver, driver)
}

// Shared returns nil if another overlayfs can share the directories of the daemon's layers, and otherwise the error of
// Layout.Unshared.
func (c *Client) Shared(ctx context.Context) error {
	layout, err := c.layout(ctx)
	if err != nil {
		return err
	}
	return layout.unshared
}

// SharedDirectory returns the directory on the daemon's host that contains both the layers and the volumes, such as /var/lib/docker.
// It is never / if Unshared returns nil.
func (l Layout) SharedDirectory() string { return l.shared }

// Unshared returns why another overlayfs cannot share the directories of the daemon's layers: ErrStorageDriver,
// ErrOverlayFeature, ErrRemappedUsers or ErrSeparateDirectories, or nil if it can.
func (l Layout) Unshared() error { return l.unshared }

// Directories returns the directories on the daemon's host that contain the files of the images' layers. Some of the
// directories may not exist. A pusher that can read them at the same paths pushes faster.
func (l Layout) Directories() []string {
	switch {
	case l.containerd:
		const plugin = "io.containerd.content.v1.content"
		// These are the content stores of the containerd that the daemon runs, and of the system's containerd.
		return []string{filepath.Join(l.root, "containerd/daemon", plugin), filepath.Join(systemRoot, plugin)}
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
