package link

import (
	"context"
	"path"
	"slices"
	"time"

	introspectionapi "github.com/containerd/containerd/api/services/introspection/v1"
	leasesapi "github.com/containerd/containerd/api/services/leases/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

// fakeLeases is the leases service of a containerd.
type fakeLeases struct {
	leasesapi.UnimplementedLeasesServer
	*fakeContainerd
}

// Create implements leasesapi.LeasesServer.
func (n fakeLeases) Create(_ context.Context, r *leasesapi.CreateRequest) (*leasesapi.CreateResponse, error) {
	var end time.Time
	if text, has := r.GetLabels()["containerd.io/gc.expire"]; has {
		var err error
		if end, err = time.Parse(time.RFC3339, text); err != nil {
			return nil, status.Error(codes.InvalidArgument, err.Error())
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.leases[r.GetID()] = end
	return &leasesapi.CreateResponse{Lease: &leasesapi.Lease{ID: r.GetID()}}, nil
}

// Delete implements leasesapi.LeasesServer.
func (n fakeLeases) Delete(_ context.Context, r *leasesapi.DeleteRequest) (*emptypb.Empty, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, exists := n.leases[r.GetID()]; !exists {
		return nil, status.Error(codes.NotFound, r.GetID())
	}
	delete(n.leases, r.GetID())
	return &emptypb.Empty{}, nil
}

// fakeIntrospection is the introspection service of a containerd. It supports only the filter for the overlayfs snapshotter.
type fakeIntrospection struct {
	introspectionapi.UnimplementedIntrospectionServer
	*fakeContainerd
}

// Plugins implements introspectionapi.IntrospectionServer.
func (n fakeIntrospection) Plugins(
	_ context.Context, r *introspectionapi.PluginsRequest,
) (*introspectionapi.PluginsResponse, error) {
	if want := []string{"type==io.containerd.snapshotter.v1,id==overlayfs"}; !slices.Equal(r.GetFilters(), want) {
		return nil, status.Errorf(codes.InvalidArgument, "filters %q", r.GetFilters())
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.directories == "" {
		return &introspectionapi.PluginsResponse{}, nil
	}
	exports := map[string]string{"root": path.Dir(n.directories)}
	return &introspectionapi.PluginsResponse{Plugins: []*introspectionapi.Plugin{{Exports: exports}}}, nil
}
