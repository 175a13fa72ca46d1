package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// topLayerLabel is the label of an image's config in the content store whose value is the chainID of the image's topmost layer.
const topLayerLabel = "containerd.io/gc.ref.snapshot." + snapshotter

// Unlink removes a broken layer, the last of those with these diffIDs, from the nodes that have linked it. The next pull of an
// image with the layer fetches it from the registry. A layer that a container uses stays until a later pull. Unlink calls done
// after each node from which it removed layers or could not.
func (l *Linker) Unlink(ctx context.Context, diffIDs []digest.Digest, done func(node string, removed int, err error)) {
	all, err := l.nodes.list(ctx)
	if err != nil {
		done("", 0, err)
		return
	}
	for _, n := range all {
		if removed, err := n.unlink(ctx, []digest.Digest{identity.ChainID(diffIDs)}); removed > 0 || err != nil {
			done(n.Name, removed, err)
		}
	}
}

// unlink removes those of the layers that were linked, and all layers above them, because these cannot exist without them. It first
// removes the images with these layers from containerd's list. Otherwise, the kubelet would not pull them again.
func (n *node) unlink(ctx context.Context, chains []digest.Digest) (removed int, err error) {
	for _, chain := range chains {
		found, err := n.containerd.committed(ctx, chain.String())
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return removed, err
		}
		if found.GetLabels()[linkedLabel] == "" {
			continue // the node does not have it, or has pulled it
		}
		above, err := n.containerd.withAbove(ctx, chain.String())
		if err == nil {
			err = n.containerd.removeImages(ctx, above)
		}
		if err != nil {
			return removed, err
		}
		for _, name := range slices.Backward(above) {
			if failed := n.containerd.remove(ctx, name); failed != nil {
				err = errors.Join(err, failed) // the layer has a child, such as the snapshot of a container
			} else {
				removed++
			}
		}
		if err != nil {
			return removed, err
		}
	}
	return removed, nil
}

// withAbove returns a committed snapshot and all committed snapshots above it, lower ones first.
func (c *containerd) withAbove(ctx context.Context, name string) ([]string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	list, err := c.snapshots.List(c.in(ctx), &snapshotsapi.ListSnapshotsRequest{
		Snapshotter: snapshotter, Filters: []string{"kind==committed"},
	})
	if err != nil {
		return nil, fmt.Errorf("listing snapshots: %w", err)
	}
	children := map[string][]string{}
	for {
		some, err := list.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("listing snapshots: %w", err)
		}
		for _, info := range some.GetInfo() {
			children[info.GetParent()] = append(children[info.GetParent()], info.GetName())
		}
	}
	found := []string{name}
	for i := 0; i < len(found); i++ {
		found = append(found, children[found[i]]...)
	}
	return found, nil
}

// removeImages removes all images whose topmost layer is one of these layers. Running containers are not affected.
func (c *containerd) removeImages(ctx context.Context, tops []string) error {
	configs, err := c.configs(ctx, tops)
	if err != nil || len(configs) == 0 {
		return err
	}
	listed, err := c.images.List(c.in(ctx), &imagesapi.ListImagesRequest{})
	if err != nil {
		return fmt.Errorf("listing images: %w", err)
	}
	targets := map[string]bool{}
	for _, image := range listed.GetImages() {
		if slices.Contains(configs, image.GetName()) { // every pulled image also has the config's digest as a name
			targets[image.GetTarget().GetDigest()] = true
		}
	}
	for _, image := range listed.GetImages() {
		if !targets[image.GetTarget().GetDigest()] {
			continue
		}
		_, err := c.images.Delete(c.in(ctx), &imagesapi.DeleteImageRequest{Name: image.GetName()})
		if err != nil && status.Code(err) != codes.NotFound {
			return fmt.Errorf("removing image %s: %w", image.GetName(), err)
		}
	}
	return nil
}

// configs returns the digests of the configs of all images whose topmost layer is one of these layers.
func (c *containerd) configs(ctx context.Context, tops []string) (digests []string, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var filters []string
	for _, top := range tops {
		filters = append(filters, fmt.Sprintf("labels.%q==%s", topLayerLabel, top))
	}
	list, err := c.content.List(c.in(ctx), &contentapi.ListContentRequest{Filters: filters})
	if err != nil {
		return nil, fmt.Errorf("listing configs: %w", err)
	}
	for {
		some, err := list.Recv()
		if errors.Is(err, io.EOF) {
			return digests, nil
		}
		if err != nil {
			return nil, fmt.Errorf("listing configs: %w", err)
		}
		for _, info := range some.GetInfo() {
			digests = append(digests, info.GetDigest())
		}
	}
}
