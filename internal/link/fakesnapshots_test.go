package link

import (
	"context"
	"errors"
	"os"
	"slices"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/api/types"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// fakeSnapshots is the snapshots service of a containerd.
type fakeSnapshots struct {
	snapshotsapi.UnimplementedSnapshotsServer
	*fakeContainerd
}

// create creates an active snapshot or a view.
func (n fakeSnapshots) create(ctx context.Context, key, parent string, kind snapshotsapi.Kind) ([]*types.Mount, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, exists := n.snapshots[key]; exists {
		return nil, status.Error(codes.AlreadyExists, key)
	}
	below, exists := n.snapshots[parent]
	if parent != "" && (!exists || below.kind != snapshotsapi.Kind_COMMITTED) {
		return nil, status.Error(codes.NotFound, parent)
	}
	n.insert(key, parent, fakeSnapshot{kind: kind, lease: leaseOf(ctx)})
	if parent != "" { // the root directory gets the owner of the parent's
		var owner unix.Stat_t
		err := errors.Join(unix.Stat(n.onHost(below), &owner), os.Lchown(n.onHost(n.snapshots[key]), int(owner.Uid), int(owner.Gid)))
		if err != nil {
			return nil, err
		}
	}
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
	return &emptypb.Empty{}, n.remove(r.GetKey())
}

// Stat implements snapshotsapi.SnapshotsServer.
func (n fakeSnapshots) Stat(_ context.Context, r *snapshotsapi.StatSnapshotRequest) (*snapshotsapi.StatSnapshotResponse, error) {
	found, _, exists := n.find(r.GetKey())
	if !exists {
		return nil, status.Error(codes.NotFound, r.GetKey())
	}
	return &snapshotsapi.StatSnapshotResponse{Info: &snapshotsapi.Info{
		Name: r.GetKey(), Parent: found.parent, Kind: found.kind, Labels: found.labels, CreatedAt: timestamppb.New(found.created),
	}}, nil
}

// List implements snapshotsapi.SnapshotsServer. It supports only the filter for committed snapshots.
func (n fakeSnapshots) List(r *snapshotsapi.ListSnapshotsRequest, s snapshotsapi.Snapshots_ListServer) error {
	if r.GetSnapshotter() != "overlayfs" || !slices.Equal(r.GetFilters(), []string{"kind==committed"}) {
		return status.Errorf(codes.InvalidArgument, "snapshotter %q, filters %q", r.GetSnapshotter(), r.GetFilters())
	}
	var found []*snapshotsapi.Info
	for _, key := range n.keys(snapshotsapi.Kind_COMMITTED) {
		snapshot, _, _ := n.find(key)
		found = append(found, &snapshotsapi.Info{Name: key, Parent: snapshot.parent, Kind: snapshotsapi.Kind_COMMITTED})
	}
	if len(found) == 0 {
		return nil
	}
	return s.Send(&snapshotsapi.ListSnapshotsResponse{Info: found})
}
