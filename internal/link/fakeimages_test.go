package link

import (
	"context"
	"fmt"
	"maps"
	"slices"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

// fakeImage is one name of an image of a fakeContainerd.
type fakeImage struct {
	manifest string
	config   string
	top      string // the chainID of the topmost layer
}

// addImage adds an image as the kubelet's pull does: under its reference and under its config's digest.
func (n *fakeContainerd) addImage(reference string, top digest.Digest) {
	n.mu.Lock()
	defer n.mu.Unlock()
	added := fakeImage{
		manifest: digest.FromString("manifest " + reference).String(), config: digest.FromString("config " + reference).String(), top: top.String(),
	}
	n.images[reference], n.images[added.config] = added, added
}

// imageNames returns the sorted names of the images, without the digests.
func (n *fakeContainerd) imageNames() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.DeleteFunc(slices.Sorted(maps.Keys(n.images)), func(name string) bool { return n.images[name].config == name })
}

// fakeImages is the images service of a containerd.
type fakeImages struct {
	imagesapi.UnimplementedImagesServer
	*fakeContainerd
}

// List implements imagesapi.ImagesServer.
func (n fakeImages) List(context.Context, *imagesapi.ListImagesRequest) (*imagesapi.ListImagesResponse, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var listed imagesapi.ListImagesResponse
	for name, image := range n.images {
		listed.Images = append(listed.Images, &imagesapi.Image{Name: name, Target: &types.Descriptor{Digest: image.manifest}})
	}
	return &listed, nil
}

// Delete implements imagesapi.ImagesServer.
func (n fakeImages) Delete(_ context.Context, r *imagesapi.DeleteImageRequest) (*emptypb.Empty, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, exists := n.images[r.GetName()]; !exists {
		return nil, status.Error(codes.NotFound, r.GetName())
	}
	delete(n.images, r.GetName())
	return &emptypb.Empty{}, nil
}

// fakeContent is the content service of a containerd.
type fakeContent struct {
	contentapi.UnimplementedContentServer
	*fakeContainerd
}

// List implements contentapi.ContentServer. It supports only filters for the configs of images with a topmost layer.
func (n fakeContent) List(r *contentapi.ListContentRequest, s contentapi.Content_ListServer) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for name, image := range n.images {
		filter := fmt.Sprintf(`labels."containerd.io/gc.ref.snapshot.overlayfs"==%s`, image.top)
		if name == image.config && slices.Contains(r.GetFilters(), filter) {
			info := &contentapi.Info{Digest: image.config}
			if err := s.Send(&contentapi.ListContentResponse{Info: []*contentapi.Info{info}}); err != nil {
				return err
			}
		}
	}
	return nil
}
