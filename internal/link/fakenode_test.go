package link

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	leasesapi "github.com/containerd/containerd/api/services/leases/v1"
	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"kind-local-registry/internal/host/engine/enginetest"
)

// fakeNode is a kind node whose containerd has real directories, in the layout of the overlayfs snapshotter.
type fakeNode struct {
	name, address string
	volume        string // the host path of the node's /var
	container     *enginetest.Container
	server        *grpc.Server

	mu        sync.Mutex
	snapshots map[string]fakeSnapshot // by key, or by name if committed
	leases    map[string]time.Time    // the end of each lease by ID; zero if it has none
	images    map[string]fakeImage    // by name
	made      int
	before    func(ctx context.Context, method string) error // runs before each request, unless it is nil
}

// fakeSnapshot is a snapshot of a fakeNode.
type fakeSnapshot struct {
	id     int
	kind   snapshotsapi.Kind
	parent string
	lease  string
	labels map[string]string
}

// startNode starts a node that ends with the test. In the directory proc, the node's first process has the ID pid.
func startNode(t *testing.T, daemon *enginetest.Daemon, proc string, pid int, volume string) *fakeNode {
	t.Helper()
	n := &fakeNode{
		name: fmt.Sprintf("kind-worker%d", pid), address: fmt.Sprintf("172.18.0.%d", pid), volume: volume,
		snapshots: map[string]fakeSnapshot{}, leases: map[string]time.Time{}, images: map[string]fakeImage{},
	}
	must(t, os.MkdirAll(n.hostPath(nodeSnapshots), 0o755))
	socket := fmt.Sprintf("%s/%d/root%s", proc, pid, nodeSocket)
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
	snapshotsapi.RegisterSnapshotsServer(n.server, fakeSnapshots{fakeNode: n})
	leasesapi.RegisterLeasesServer(n.server, fakeLeases{fakeNode: n})
	imagesapi.RegisterImagesServer(n.server, fakeImages{fakeNode: n})
	contentapi.RegisterContentServer(n.server, fakeContent{fakeNode: n})
	served := make(chan struct{})
	go func() { defer close(served); _ = n.server.Serve(listener) }() // it ends when the test stops the server
	t.Cleanup(func() { n.server.Stop(); <-served })

	n.container = daemon.AddContainer(n.name, map[string]string{"io.x-k8s.kind.cluster": "kind"})
	n.container.State.Pid = pid
	n.container.Mounts = []container.MountPoint{{Destination: "/var", Source: volume}, {Destination: "/lib/modules", Source: "/lib/modules"}}
	n.container.NetworkSettings.Networks["kind"] = &network.EndpointSettings{IPAddress: netip.MustParseAddr(n.address)}
	n.add("base", "", fakeSnapshot{kind: snapshotsapi.Kind_COMMITTED})
	return n
}

// hostPath returns the host path of a path below the node's /var.
func (n *fakeNode) hostPath(name string) string { return filepath.Join(n.volume, name[len("/var"):]) }

// admit runs before each request. Like containerd, it refuses writes with an unknown lease. It also refuses any other namespace.
func (n *fakeNode) admit(ctx context.Context, method string) error {
	sent, _ := metadata.FromIncomingContext(ctx)
	if got := sent.Get("containerd-namespace"); len(got) == 0 || got[0] != "k8s.io" {
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
func (n *fakeNode) onRequest(do func(ctx context.Context, method string) error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.before = do
}

// refuse makes the node refuse a method.
func (n *fakeNode) refuse(refused string, code codes.Code) {
	n.onRequest(func(_ context.Context, method string) error {
		if method == refused {
			return status.Error(code, "refused by the test")
		}
		return nil
	})
}

// add adds a snapshot with an empty directory.
func (n *fakeNode) add(key, parent string, added fakeSnapshot) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.made++
	added.id, added.parent = n.made, parent
	if err := os.MkdirAll(n.hostPath(n.directory(added)), 0o755); err != nil {
		panic(err) // in a temporary directory
	}
	n.snapshots[key] = added
}

// directory returns the path on the node of a snapshot's directory.
func (*fakeNode) directory(s fakeSnapshot) string {
	return fmt.Sprintf("%s/%d/fs", nodeSnapshots, s.id)
}

// keys returns the sorted names of the snapshots of that kind.
func (n *fakeNode) keys(kind snapshotsapi.Kind) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.DeleteFunc(slices.Sorted(maps.Keys(n.snapshots)), func(key string) bool { return n.snapshots[key].kind != kind })
}

// find returns a snapshot, and the host path of its directory.
func (n *fakeNode) find(key string) (found fakeSnapshot, directory string, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	found, ok = n.snapshots[key]
	return found, n.hostPath(n.directory(found)), ok
}

// mounts returns how to mount a snapshot. n.mu must be locked.
func (n *fakeNode) mounts(s fakeSnapshot) []*types.Mount {
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

// fakeSnapshots is the snapshots service of a node.
type fakeSnapshots struct {
	snapshotsapi.UnimplementedSnapshotsServer
	*fakeNode
}

// create creates an active snapshot or a view.
func (n fakeSnapshots) create(ctx context.Context, key, parent string, kind snapshotsapi.Kind) ([]*types.Mount, error) {
	if _, _, exists := n.find(key); exists {
		return nil, status.Error(codes.AlreadyExists, key)
	}
	if below, _, exists := n.find(parent); parent != "" && (!exists || below.kind != snapshotsapi.Kind_COMMITTED) {
		return nil, status.Error(codes.NotFound, parent)
	}
	n.add(key, parent, fakeSnapshot{kind: kind, lease: leaseOf(ctx)})
	if parent != "" { // the root directory gets the owner of the parent's
		_, directory, _ := n.find(key)
		_, below, _ := n.find(parent)
		var status unix.Stat_t
		if err := errors.Join(unix.Stat(below, &status), os.Lchown(directory, int(status.Uid), int(status.Gid))); err != nil {
			return nil, err
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.mounts(n.snapshots[key]), nil
}

// Prepare implements snapshotsapi.SnapshotsServer.
func (n fakeSnapshots) Prepare(
	ctx context.Context, r *snapshotsapi.PrepareSnapshotRequest,
) (*snapshotsapi.PrepareSnapshotResponse, error) {
	mounts, err := n.create(ctx, r.GetKey(), r.GetParent(), snapshotsapi.Kind_ACTIVE)
	return &snapshotsapi.PrepareSnapshotResponse{Mounts: mounts}, err
}

// View implements snapshotsapi.SnapshotsServer.
func (n fakeSnapshots) View(ctx context.Context, r *snapshotsapi.ViewSnapshotRequest) (*snapshotsapi.ViewSnapshotResponse, error) {
	mounts, err := n.create(ctx, r.GetKey(), r.GetParent(), snapshotsapi.Kind_VIEW)
	return &snapshotsapi.ViewSnapshotResponse{Mounts: mounts}, err
}

// Commit implements snapshotsapi.SnapshotsServer.
func (n fakeSnapshots) Commit(_ context.Context, r *snapshotsapi.CommitSnapshotRequest) (*emptypb.Empty, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, exists := n.snapshots[r.GetName()]; exists {
		return nil, status.Error(codes.AlreadyExists, r.GetName())
	}
	committed, exists := n.snapshots[r.GetKey()]
	if !exists {
		return nil, status.Error(codes.NotFound, r.GetKey())
	}
	committed.kind, committed.labels = snapshotsapi.Kind_COMMITTED, r.GetLabels()
	delete(n.snapshots, r.GetKey())
	n.snapshots[r.GetName()] = committed
	return &emptypb.Empty{}, nil
}

// Remove implements snapshotsapi.SnapshotsServer.
func (n fakeSnapshots) Remove(_ context.Context, r *snapshotsapi.RemoveSnapshotRequest) (*emptypb.Empty, error) {
	_, directory, exists := n.find(r.GetKey())
	if !exists {
		return nil, status.Error(codes.NotFound, r.GetKey())
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, other := range n.snapshots {
		if other.parent == r.GetKey() {
			return nil, status.Error(codes.FailedPrecondition, "cannot remove snapshot with child")
		}
	}
	delete(n.snapshots, r.GetKey())
	return &emptypb.Empty{}, os.RemoveAll(filepath.Dir(directory))
}

// Stat implements snapshotsapi.SnapshotsServer.
func (n fakeSnapshots) Stat(_ context.Context, r *snapshotsapi.StatSnapshotRequest) (*snapshotsapi.StatSnapshotResponse, error) {
	found, _, exists := n.find(r.GetKey())
	if !exists {
		return nil, status.Error(codes.NotFound, r.GetKey())
	}
	return &snapshotsapi.StatSnapshotResponse{Info: &snapshotsapi.Info{Name: r.GetKey(), Kind: found.kind, Labels: found.labels}}, nil
}

// List implements snapshotsapi.SnapshotsServer. It supports only the filter for committed snapshots.
func (n fakeSnapshots) List(r *snapshotsapi.ListSnapshotsRequest, s snapshotsapi.Snapshots_ListServer) error {
	if r.GetSnapshotter() != "overlayfs" || !slices.Equal(r.GetFilters(), []string{"kind==committed"}) {
		return status.Errorf(codes.InvalidArgument, "snapshotter %q, filters %q", r.GetSnapshotter(), r.GetFilters())
	}
	var found []*snapshotsapi.Info
	for _, key := range n.keys(snapshotsapi.Kind_COMMITTED) {
		found = append(found, &snapshotsapi.Info{Name: key, Kind: snapshotsapi.Kind_COMMITTED})
	}
	if len(found) == 0 {
		return nil
	}
	return s.Send(&snapshotsapi.ListSnapshotsResponse{Info: found})
}
