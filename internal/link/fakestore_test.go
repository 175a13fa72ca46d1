package link

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/moby/moby/api/types/system"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// ownSocket is the socket of the containerd that a daemon with the default directories runs.
const ownSocket = "/run/docker/containerd/containerd.sock"

// newStoreEnv returns a host whose daemon keeps its layers in its own containerd, without nodes or images.
func newStoreEnv(t *testing.T) *env {
	t.Helper()
	e := newEnv(t)
	e.useContainerd(ownSocket)
	e.startStore(t, ownSocket, filepath.Join(e.root, "containerd/daemon"))
	return e
}

// eachStore runs a test with each image store of the daemon.
func eachStore(t *testing.T, test func(t *testing.T, e *env)) {
	t.Helper()
	for name, newEnv := range map[string]func(*testing.T) *env{"overlay2": newEnv, "containerd image store": newStoreEnv} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newEnv(t))
		})
	}
}

// useContainerd makes the daemon report the containerd image store, and the socket of its containerd. A daemon older than Docker 27
// does not report the socket; it is then "".
func (e *env) useContainerd(socket string) {
	e.daemon.Info.Driver = "overlayfs"
	e.daemon.Info.DriverStatus = [][2]string{{"driver-type", "io.containerd.snapshotter.v1"}}
	if socket != "" {
		e.daemon.Info.Containerd = &system.ContainerdInfo{Address: socket, Namespaces: system.ContainerdNamespaces{Containers: "moby"}}
	}
}

// startStore starts a containerd of the host, and makes it the one from which e's images are. Its data directory is root.
func (e *env) startStore(t *testing.T, socket, root string) {
	t.Helper()
	e.store = &fakeContainerd{
		name: "Docker", namespace: "moby", directories: filepath.Join(root, "io.containerd.snapshotter.v1.overlayfs/snapshots"),
		hostPath: func(name string) string { return name },
	}
	e.store.start(t, e.socket(socket))
}

// socket returns the path of a socket that the daemon sees. The daemon's process is the test.
func (e *env) socket(path string) string {
	return filepath.Join(e.proc, fmt.Sprint(os.Getpid()), "root", path)
}

// removeUnused removes a snapshot when no view uses it any longer. A view that is left makes it return an error after a minute.
func (n *fakeContainerd) removeUnused(key string) error {
	for start := time.Now(); ; time.Sleep(time.Millisecond) {
		err := n.remove(key)
		if status.Code(err) != codes.FailedPrecondition || time.Since(start) > time.Minute {
			return err
		}
	}
}

// wantUntouched fails the test if a view, a lease or another snapshot is left in the daemon's containerd.
func (e *env) wantUntouched(t *testing.T, layers int) {
	t.Helper()
	if got := e.store.keys(snapshotsapi.Kind_COMMITTED); len(got) != layers {
		t.Errorf("committed snapshots in the daemon's containerd = %q, want %d", got, layers)
	}
	if got := append(e.store.keys(snapshotsapi.Kind_ACTIVE), e.store.keys(snapshotsapi.Kind_VIEW)...); len(got) > 0 {
		t.Errorf("uncommitted snapshots in the daemon's containerd = %q, want none", got)
	}
	e.store.mu.Lock()
	defer e.store.mu.Unlock()
	if len(e.store.leases) > 0 {
		t.Errorf("leases in the daemon's containerd = %v, want none", e.store.leases)
	}
}

// count returns a counter of the requests of a method.
func (n *fakeContainerd) count(counted string) *atomic.Int64 {
	var requests atomic.Int64
	n.onRequest(func(_ context.Context, method string) error {
		if method == counted {
			requests.Add(1)
		}
		return nil
	})
	return &requests
}
