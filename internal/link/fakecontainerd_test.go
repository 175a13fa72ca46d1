package link

import (
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	introspectionapi "github.com/containerd/containerd/api/services/introspection/v1"
	leasesapi "github.com/containerd/containerd/api/services/leases/v1"
	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/api/types"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// fakeContainerd is a containerd with real directories, in the layout of the overlayfs snapshotter.
type fakeContainerd struct {
	name        string
	namespace   string // the only one
	directories string // the directory of all snapshots, as containerd sees it; "" if it has no overlayfs snapshotter
	hostPath    func(name string) string
	server      *grpc.Server

	mu        sync.Mutex
	snapshots map[string]fakeSnapshot // by key, or by name if committed
	leases    map[string]time.Time    // the end of each lease by ID; zero if it has none
	images    map[string]fakeImage    // by name
	made      int
	before    func(ctx context.Context, method string) error // runs before each request, unless it is nil
}

// fakeSnapshot is a snapshot of a fakeContainerd.
type fakeSnapshot struct {
	id      int
	kind    snapshotsapi.Kind
	parent  string
	lease   string
	labels  map[string]string
	created time.Time
}

// start starts a containerd that ends with the test.
func (n *fakeContainerd) start(t *testing.T, socket string) {
	t.Helper()
	n.snapshots, n.leases, n.images = map[string]fakeSnapshot{}, map[string]time.Time{}, map[string]fakeImage{}
	must(t, os.MkdirAll(n.hostPath(n.directories), 0o755))
	must(t, os.MkdirAll(filepath.Dir(socket), 0o755))
	listener, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
	must(t, err)
	n.server = grpc.NewServer(
		grpc.UnaryInterceptor(func(ctx context.Context, r any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			if err := n.admit(ctx, path.Base(info.FullMethod)); err != nil {
				return nil, err
			}
			return next(ctx, r)
		}),
		grpc.StreamInterceptor(func(server any, s grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			if err := n.admit(s.Context(), path.Base(info.FullMethod)); err != nil {
				return err
			}
			return next(server, s)
		}))
	snapshotsapi.RegisterSnapshotsServer(n.server, fakeSnapshots{fakeContainerd: n})
	leasesapi.RegisterLeasesServer(n.server, fakeLeases{fakeContainerd: n})
	imagesapi.RegisterImagesServer(n.server, fakeImages{fakeContainerd: n})
	contentapi.RegisterContentServer(n.server, fakeContent{fakeContainerd: n})
	introspectionapi.RegisterIntrospectionServer(n.server, fakeIntrospection{fakeContainerd: n})
	served := make(chan struct{})
	go func() { defer close(served); _ = n.server.Serve(listener) }() // it ends when the test stops the server
	t.Cleanup(func() { n.server.Stop(); <-served })
}

// admit runs before each request. Like containerd, it refuses writes with an unknown lease. It also refuses any other namespace.
func (n *fakeContainerd) admit(ctx context.Context, method string) error {
	sent, _ := metadata.FromIncomingContext(ctx)
	if got := sent.Get("containerd-namespace"); len(got) == 0 || got[0] != n.namespace {
		return status.Errorf(codes.InvalidArgument, "namespace %q", got)
	}
	n.mu.Lock()
	before := n.before
	_, known := n.leases[leaseOf(ctx)]
	n.mu.Unlock()
	if before != nil {
		if err := before(ctx, method); err != nil {
			return err
		}
	}
	if writes := method == "Prepare" || method == "View" || method == "Commit"; writes && !known {
		return status.Errorf(codes.NotFound, "lease %q does not exist", leaseOf(ctx))
	}
	return nil
}

// leaseOf returns the lease of a request. Like containerd, it uses the first one.
func leaseOf(ctx context.Context) string {
	sent, _ := metadata.FromIncomingContext(ctx)
	if ids := sent.Get("containerd-lease"); len(ids) > 0 {
		return ids[0]
	}
	return ""
}

// onRequest makes do run before each request.
func (n *fakeContainerd) onRequest(do func(ctx context.Context, method string) error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.before = do
}

// refuse makes containerd refuse a method.
func (n *fakeContainerd) refuse(refused string, code codes.Code) {
	n.onRequest(func(_ context.Context, method string) error {
		if method == refused {
			return status.Error(code, "refused by the test")
		}
		return nil
	})
}

// add adds a snapshot with an empty directory.
func (n *fakeContainerd) add(key, parent string, added fakeSnapshot) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.insert(key, parent, added)
}

// insert adds a snapshot with an empty directory. n.mu must be locked.
func (n *fakeContainerd) insert(key, parent string, added fakeSnapshot) {
	n.made++
	added.id, added.parent, added.created = n.made, parent, time.Now()
	if err := os.MkdirAll(n.onHost(added), 0o755); err != nil {
		panic(err) // in a temporary directory
	}
	n.snapshots[key] = added
}

// remove removes a snapshot and then its directory. It refuses to remove a snapshot that has another on top of it.
func (n *fakeContainerd) remove(key string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	removed, exists := n.snapshots[key]
	if !exists {
		return status.Error(codes.NotFound, key)
	}
	for _, other := range n.snapshots {
		if other.parent == key {
			return status.Error(codes.FailedPrecondition, "cannot remove snapshot with child")
		}
	}
	delete(n.snapshots, key)
	return os.RemoveAll(filepath.Dir(n.onHost(removed)))
}

// directory returns the path of a snapshot's directory, as containerd sees it.
func (n *fakeContainerd) directory(s fakeSnapshot) string {
	return fmt.Sprintf("%s/%d/fs", n.directories, s.id)
}

// keys returns the sorted names of the snapshots of that kind.
func (n *fakeContainerd) keys(kind snapshotsapi.Kind) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.DeleteFunc(slices.Sorted(maps.Keys(n.snapshots)), func(key string) bool { return n.snapshots[key].kind != kind })
}

// find returns a snapshot, and the host path of its directory.
func (n *fakeContainerd) find(key string) (found fakeSnapshot, directory string, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	found, ok = n.snapshots[key]
	return found, n.onHost(found), ok
}

// onHost returns the host path of a snapshot's directory.
func (n *fakeContainerd) onHost(s fakeSnapshot) string { return n.hostPath(n.directory(s)) }

// mounts returns how to mount a snapshot. n.mu must be locked.
func (n *fakeContainerd) mounts(s fakeSnapshot) []*types.Mount {
	var lower string
	for parent := s.parent; parent != ""; parent = n.snapshots[parent].parent {
		lower += ":" + n.directory(n.snapshots[parent])
	}
	writable := s.kind == snapshotsapi.Kind_ACTIVE
	switch {
	case writable && s.parent == "":
		return []*types.Mount{{Type: "bind", Source: n.directory(s), Options: []string{"rw", "rbind"}}}
	case writable:
		work := path.Join(path.Dir(n.directory(s)), "work")
		return []*types.Mount{{Type: "overlay", Source: "overlay", Options: []string{
			"workdir=" + work, "upperdir=" + n.directory(s), "lowerdir=" + lower[1:],
		}}}
	case n.snapshots[s.parent].parent == "":
		return []*types.Mount{{Type: "bind", Source: lower[1:], Options: []string{"ro", "rbind"}}}
	}
	return []*types.Mount{{Type: "overlay", Source: "overlay", Options: []string{"lowerdir=" + lower[1:]}}}
}
