package link

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	leasesapi "github.com/containerd/containerd/api/services/leases/v1"
	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const (
	// kubernetesNamespace is the containerd namespace of the images that the kubelet pulls.
	kubernetesNamespace = "k8s.io"
	// snapshotter is containerd's default snapshotter, the only one whose snapshots have the layout of Docker's layers.
	snapshotter = "overlayfs"
	// leaseTime is how long a linked layer is kept if no pull uses it.
	leaseTime = 15 * time.Minute
	// linkedLabel is the label of a snapshot that the linker committed.
	linkedLabel = "kind-local-registry/linked"
)

// expireLabel is a label for containerd's garbage collector
// (https://github.com/containerd/containerd/blob/main/docs/garbage-collection.md).
const expireLabel = "containerd.io/gc.expire"

// containerd is a client for a containerd's snapshots and images in one namespace.
type containerd struct {
	connection *grpc.ClientConn
	snapshots  snapshotsapi.SnapshotsClient
	leases     leasesapi.LeasesClient
	images     imagesapi.ImagesClient
	content    contentapi.ContentClient
	namespace  string
}

// connect returns a client of the containerd at a gRPC target. It does not connect yet.
func connect(target, namespace string, options ...grpc.DialOption) (*containerd, error) {
	options = append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))
	connection, err := grpc.NewClient(target, options...)
	if err != nil {
		return nil, fmt.Errorf("connecting to containerd at %s: %w", target, err)
	}
	return &containerd{
		connection: connection, namespace: namespace,
		snapshots: snapshotsapi.NewSnapshotsClient(connection), leases: leasesapi.NewLeasesClient(connection),
		images: imagesapi.NewImagesClient(connection), content: contentapi.NewContentClient(connection),
	}, nil
}

func (c *containerd) close() { _ = c.connection.Close() }

// in returns the context of a request in the namespace.
func (c *containerd) in(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "containerd-namespace", c.namespace)
}

// leaseHeader is the header of a request that contains the ID of the lease.
const leaseHeader = "containerd-lease"

// lease returns a context for requests. Snapshots that they create are kept for leaseTime, whether they are used or not. A lease
// of another containerd comes second in the context, because containerd uses only the first.
func (c *containerd) lease(ctx context.Context) (context.Context, error) {
	id := "kind-local-registry-" + rand.Text()
	_, err := c.leases.Create(c.in(ctx), &leasesapi.CreateRequest{
		ID: id, Labels: map[string]string{expireLabel: time.Now().Add(leaseTime).UTC().Format(time.RFC3339)},
	})
	if err != nil {
		return nil, fmt.Errorf("creating a lease: %w", err)
	}
	sent, _ := metadata.FromOutgoingContext(ctx)
	return metadata.NewOutgoingContext(ctx, metadata.Join(metadata.Pairs(leaseHeader, id), sent)), nil
}

// endLease ends the lease of a context that lease returned. On an error, the lease ends after leaseTime.
func (c *containerd) endLease(leased context.Context) {
	sent, _ := metadata.FromOutgoingContext(leased)
	_, _ = c.leases.Delete(c.in(leased), &leasesapi.DeleteRequest{ID: sent.Get(leaseHeader)[0]})
}

// committed returns the committed snapshot with that name. The error wraps fs.ErrNotExist if there is none.
func (c *containerd) committed(ctx context.Context, name string) (*snapshotsapi.Info, error) {
	found, err := c.snapshots.Stat(c.in(ctx), &snapshotsapi.StatSnapshotRequest{Snapshotter: snapshotter, Key: name})
	if status.Code(err) == codes.NotFound || err == nil && found.GetInfo().GetKind() != snapshotsapi.Kind_COMMITTED {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, fmt.Errorf("looking up snapshot %s: %w", name, err)
	}
	return found.GetInfo(), nil
}

// has reports whether there is a committed snapshot with that name.
func (c *containerd) has(ctx context.Context, name string) (bool, error) {
	_, err := c.committed(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// usesOverlay reports whether the node keeps its images in the overlayfs snapshotter. A kind node always has images.
func (c *containerd) usesOverlay(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	list, err := c.snapshots.List(c.in(ctx), &snapshotsapi.ListSnapshotsRequest{
		Snapshotter: snapshotter, Filters: []string{"kind==committed"},
	})
	if err != nil {
		return false, fmt.Errorf("listing snapshots: %w", err)
	}
	first, err := list.Recv() // the list is empty if there are no snapshots, or no such snapshotter
	switch status.Code(err) {
	case codes.OK:
		return len(first.GetInfo()) > 0, nil
	case codes.Unavailable, codes.Canceled, codes.DeadlineExceeded:
		return false, fmt.Errorf("listing snapshots: %w", err)
	}
	return false, nil
}

// prepare creates a snapshot on top of parent, which is "" for the lowest layer. The paths in the result are paths on the node.
func (c *containerd) prepare(ctx context.Context, key, parent string) (prepared, error) {
	response, err := c.snapshots.Prepare(c.in(ctx), &snapshotsapi.PrepareSnapshotRequest{
		Snapshotter: snapshotter, Key: key, Parent: parent,
	})
	if err != nil {
		return prepared{}, fmt.Errorf("preparing a snapshot: %w", err)
	}
	mounts := response.GetMounts()
	upper, err := upperDirectory(mounts)
	if err != nil || parent == "" {
		return prepared{directory: upper}, err
	}
	lowers, err := lowerDirectories(mounts)
	return prepared{upper, lowers}, err
}

// view keeps a committed snapshot until release is called. It returns the directories of the snapshot and of all snapshots below it,
// uppermost first.
func (c *containerd) view(ctx context.Context, name string) (directories []string, release func(), err error) {
	leased, err := c.lease(ctx)
	if err != nil {
		return nil, nil, err
	}
	key := "kind-local-registry-view-" + rand.Text()
	release = func() {
		leased, cancel := context.WithTimeout(context.WithoutCancel(leased), removeTimeout)
		defer cancel()
		_ = c.remove(leased, key) // on an error, the view is removed when the lease ends
		c.endLease(leased)
	}
	viewed, err := c.snapshots.View(c.in(leased), &snapshotsapi.ViewSnapshotRequest{Snapshotter: snapshotter, Key: key, Parent: name})
	if err == nil {
		directories, err = lowerDirectories(viewed.GetMounts())
	}
	if err != nil {
		release()
		return nil, nil, fmt.Errorf("viewing snapshot %s: %w", name, err)
	}
	return directories, release, nil
}

// commit commits a prepared snapshot under that name. It also succeeds if another client has just committed one.
func (c *containerd) commit(ctx context.Context, key string, name digest.Digest) error {
	_, err := c.snapshots.Commit(c.in(ctx), &snapshotsapi.CommitSnapshotRequest{
		Snapshotter: snapshotter, Key: key, Name: name.String(), Labels: map[string]string{linkedLabel: "true"},
	})
	if status.Code(err) == codes.AlreadyExists {
		return c.remove(ctx, key)
	}
	if err != nil {
		return fmt.Errorf("committing snapshot %s: %w", name, err)
	}
	return nil
}

// remove removes a snapshot, and succeeds if it does not exist.
func (c *containerd) remove(ctx context.Context, key string) error {
	_, err := c.snapshots.Remove(c.in(ctx), &snapshotsapi.RemoveSnapshotRequest{Snapshotter: snapshotter, Key: key})
	if err != nil && status.Code(err) != codes.NotFound {
		return fmt.Errorf("removing snapshot %s: %w", key, err)
	}
	return nil
}

// errNotOverlay is the error for a snapshot that is not from the overlayfs snapshotter.
var errNotOverlay = errors.New("the snapshot is not an overlayfs directory")

// upperDirectory returns the directory that the mounts of a prepared snapshot write to. For a lowest layer, this is the source of
// the bind mount; for any other, it is upperdir.
func upperDirectory(mounts []*types.Mount) (string, error) {
	return mountDirectory(mounts, "upperdir=")
}

// lowerDirectories returns the directories below the mounts of a snapshot, uppermost first. The mounts of a view have the viewed
// snapshot's own directory, too. If there is only one directory, it is the source of the bind mount; otherwise, they are lowerdir.
func lowerDirectories(mounts []*types.Mount) ([]string, error) {
	found, err := mountDirectory(mounts, "lowerdir=")
	return strings.Split(found, ":"), err
}

func mountDirectory(mounts []*types.Mount, option string) (string, error) {
	if len(mounts) != 1 {
		return "", errNotOverlay
	}
	if mounts[0].GetType() == "bind" {
		return mounts[0].GetSource(), nil
	}
	for _, o := range mounts[0].GetOptions() {
		if value, found := strings.CutPrefix(o, option); found && mounts[0].GetType() == "overlay" {
			return value, nil
		}
	}
	return "", errNotOverlay
}
