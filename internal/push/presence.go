package push

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"kind-local-registry/internal/inventory"
)

// maxDescriptors is the maximum number of blobs in an image manifest, and of images in an index. Each blob or image costs a
// request, and no node runs an image with more layers.
const maxDescriptors = 1000

// acceptedMediaTypes returns the media types of manifests and indexes that a node can pull.
func acceptedMediaTypes() []string {
	const docker = "application/vnd.docker.distribution.manifest."
	return []string{v1.MediaTypeImageManifest, v1.MediaTypeImageIndex, docker + "v2+json", docker + "list.v2+json"}
}

// Presence reports which parts of an image the registry has.
type Presence struct {
	// Digest is the digest of the image manifest or index. It is "" if the registry has none or an invalid one.
	Digest digest.Digest
	// Complete reports whether the registry also has the config and every layer, all with the right size. For an index, it
	// reports whether at least one image that the nodes can run is complete.
	Complete bool
	// Sizes maps each blob in the image manifest to its size in bytes, and omits blobs that the registry lacks. It is nil for an
	// index.
	Sizes map[digest.Digest]int64
	// Archive reports whether the image was pushed from an archive, and its tag has not moved since.
	Archive bool
}

// Presence reports what the registry has at the target. An image manifest that no node can use is treated as missing, so the
// next push replaces it.
func (r *Registry) Presence(ctx context.Context, target Target) (Presence, error) {
	presence, children, err := r.image(ctx, target)
	if err != nil || len(children) == 0 {
		return presence, err
	}
	for _, child := range runnable(children) {
		image, _, err := r.image(ctx, Target{Repository: target.Repository, Reference: child.Digest.String()})
		if err != nil {
			return Presence{}, err
		}
		if image.Complete {
			presence.Complete = true
			break
		}
	}
	return presence, nil
}

// image reports what the registry has at the target. For an index, it returns the descriptors of the index's images and does
// not look those images up.
func (r *Registry) image(ctx context.Context, target Target) (Presence, []v1.Descriptor, error) {
	content, archived, err := r.getManifest(ctx, target)
	if err != nil {
		return Presence{}, nil, err
	}
	blobs, children, ok := parse(content)
	d := digestOf(content, target.Reference)
	if !ok || d == "" {
		return Presence{}, nil, nil
	}
	if len(children) > 0 {
		return Presence{Digest: d}, children, nil
	}
	contents := Contents{Config: blobs[0].Digest}
	for _, layer := range blobs[1:] {
		contents.Layers = append(contents.Layers, layer.Digest)
	}
	sizes, err := r.sizes(ctx, target.Repository, contents.blobs())
	if err != nil {
		return Presence{}, nil, err
	}
	presence := Presence{Digest: d, Complete: true, Sizes: sizes, Archive: archived == d}
	for _, blob := range blobs {
		presence.Complete = presence.Complete && sizes[blob.Digest] == blob.Size
	}
	return presence, nil, nil
}

// parse returns the blobs in an image manifest, the config first, or the images in an index. Any client of the registry may
// have uploaded another kind of document; ok is then false.
func parse(content []byte) (blobs, children []v1.Descriptor, ok bool) {
	var manifest v1.Manifest
	var index v1.Index
	if json.Unmarshal(content, &manifest) != nil || json.Unmarshal(content, &index) != nil {
		return nil, nil, false
	}
	children = index.Manifests
	if len(children) == 0 || manifest.Config.Digest != "" || len(manifest.Layers) > 0 {
		blobs, children = append([]v1.Descriptor{manifest.Config}, manifest.Layers...), nil
	}
	if len(blobs)+len(children) > maxDescriptors {
		return nil, nil, false
	}
	for _, descriptor := range append(children, blobs...) {
		if descriptor.Digest.Validate() != nil || descriptor.Size < 0 {
			return nil, nil, false
		}
	}
	return blobs, children, true
}

// runnable returns the images in an index that a node could pull. They are the images for this machine's platform. If there are
// none, runnable returns the images for other platforms, because an emulator on the host may run them. The result has at most
// maxConcurrentHeads images.
func runnable(children []v1.Descriptor) []v1.Descriptor {
	nodes := platforms.Default()
	var found []v1.Descriptor
	for _, child := range children {
		if child.Platform == nil || nodes.Match(*child.Platform) {
			found = append(found, child)
		}
	}
	if len(found) == 0 {
		found = children
	}
	return found[:min(len(found), maxConcurrentHeads)]
}

// digestOf returns the digest of an image manifest. reference is the tag or digest by which it was requested. digestOf returns
// "" if reference is a digest that does not match the content.
func digestOf(content []byte, reference string) digest.Digest {
	want, err := digest.Parse(reference)
	switch {
	case err != nil: // a tag
		return digest.FromBytes(content)
	case want.Algorithm().FromBytes(content) != want:
		return ""
	}
	return want
}

// getManifest returns the image manifest or index at the target. It returns nil if the registry has none or if the document is
// too large. archived is the digest of the image from an archive to which the registry says that the tag refers, or "".
func (r *Registry) getManifest(ctx context.Context, target Target) (content []byte, archived digest.Digest, err error) {
	request, err := r.request(ctx, http.MethodGet, target.path(), nil)
	if err != nil {
		return nil, "", err
	}
	request.Header["Accept"] = acceptedMediaTypes()
	response, err := r.send(request, http.StatusOK, http.StatusNotFound)
	if err != nil {
		return nil, "", fmt.Errorf("looking up image manifest %s of %s in the registry: %w", target.Reference, target.Repository, err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode == http.StatusNotFound {
		return nil, "", nil
	}
	content, err = io.ReadAll(io.LimitReader(response.Body, maxDocument+1))
	if err != nil {
		return nil, "", fmt.Errorf("reading image manifest %s of %s: %w", target.Reference, target.Repository, err)
	}
	if len(content) > maxDocument {
		return nil, "", nil
	}
	return content, digest.Digest(response.Header.Get(inventory.ArchiveHeader)), nil
}
