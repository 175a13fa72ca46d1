package docker

import (
	"cmp"
	"context"
	"path/filepath"
	"strings"

	"github.com/moby/moby/api/types/system"
)

// Store is the containerd that keeps the layers of a daemon with the containerd image store.
type Store struct {
	// Sockets are the paths on the daemon's host at which containerd may listen. The first that answers is the daemon's.
	Sockets []string
	// Namespace is the containerd namespace of the daemon's images.
	Namespace string
}

const (
	// ownSocket is the socket of the containerd that a daemon with the default directories runs. The daemon runs it only if there
	// is no systemSocket.
	ownSocket = "/var/run/docker/containerd/containerd.sock"
	// systemSocket and systemRoot are the socket and the data directory of the system's containerd.
	systemSocket = "/run/containerd/containerd.sock"
	systemRoot   = "/var/lib/containerd"
)

// storeOf derives the store from the daemon's info. Before API 1.46 (Docker 27), the info does not have it.
func storeOf(info system.Info) Store {
	if info.Containerd == nil || info.Containerd.Address == "" {
		return Store{Sockets: []string{ownSocket, systemSocket}, Namespace: "moby"}
	}
	return Store{
		Sockets:   []string{filepath.Clean(strings.TrimPrefix(info.Containerd.Address, "unix://"))},
		Namespace: cmp.Or(info.Containerd.Namespaces.Containers, "moby"),
	}
}

// Store returns the containerd that keeps the daemon's layers, and false if the daemon keeps them without containerd.
func (c *Client) Store(ctx context.Context) (Store, bool, error) {
	layout, err := c.layout(ctx)
	return layout.store, layout.containerd, err
}

// sharedDirectory returns the directory that contains both the daemon's layers and its volumes. The daemon's own containerd keeps the
// layers below Docker's data directory. The system's containerd has a directory of its own. If it is unknown which of them the
// daemon uses, the directory contains the layers of either, unless that would be /.
func sharedDirectory(root string, store Store) string {
	isSystem := strings.TrimPrefix(store.Sockets[0], "/var") == systemSocket // /var/run is a symbolic link to /run
	isUnknown := len(store.Sockets) > 1
	if !filepath.IsAbs(root) || !isSystem && !isUnknown {
		return root
	}
	if common := commonParent(root, systemRoot); isSystem || common != "/" {
		return common
	}
	return root
}

// commonParent returns the lowest directory that contains both absolute paths.
func commonParent(a, b string) string {
	for !strings.HasPrefix(b+"/", strings.TrimSuffix(a, "/")+"/") {
		a = filepath.Dir(a)
	}
	return a
}
