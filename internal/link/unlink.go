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
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// topLayerLabel is the label of an image's config in the content store whose value is the chainID of the image's topmost layer.
const topLayerLabel = "containerd.io/gc.ref.snapshot." + snapshotter

// Unlink removes linked layers from all nodes, for example because they are broken. The next pull of an image with these layers
// fetches them from the registry. A layer that a container or another image uses stays until a later pull of the image. Unlink
// calls done after each node from which it removed a layer or could not.
func (l *Linker) Unlink(ctx context.Context, diffIDs []digest.Digest, done func(node string, removed int, err error)) {
	all, err := l.nodes.list(ctx)
	if err != nil {
		done("", 0, err)
		return
	}
	for _, n := range all {
		if removed, err := n.unlink(ctx, identity.ChainIDs(slices.Clone(diffIDs))); removed > 0 || err != nil {
			done(n.Name, removed, err)
		}
	}
}

// unlink removes the lowest linked layer, and the layers above it, because they cannot exist without it. It first removes the
// images with these layers from containerd's list. Otherwise, the kubelet would not pull them again.
func (n *node) unlink(ctx context.Context, chains []digest.Digest) (removed int, err error) {
	lowest, err := n.lowestLinked(ctx, chains)
	if err != nil || lowest < 0 {
		return 0, err
	}
	if err := n.containerd.removeImages(ctx, chains[lowest:]); err != nil {
		return 0, err
	}
	for _, chain := range slices.Backward(chains[lowest:]) {
		if err := n.containerd.remove(ctx, chain.String()); err != nil {
			return removed, err // the layer has a child
		}
		removed++
	}
	return removed, nil
}

// lowestLinked returns the index of the lowest layer that was linked to the node, or -1 if there is none.
func (n *node) lowestLinked(ctx context.Context, chains []digest.Digest) (int, error) {
	for i, chain := range chains {
		found, err := n.containerd.committed(ctx, chain.String())
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return -1, err
		}
		if found.GetLabels()[linkedLabel] != "" {
			return i, nil
		}
	}
	return -1, nil
}

// removeImages removes all images whose topmost layer is one of these layers. Running containers are not affected.
func (c *containerd) removeImages(ctx context.Context, tops []digest.Digest) error {
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
func (c *containerd) configs(ctx context.Context, tops []digest.Digest) (digests []string, err error) {
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
