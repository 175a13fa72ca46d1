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
)

// maxDescriptors is how many blobs, or images of an index, a manifest may name: no node runs an image of more layers. Each
// costs a lookup a request.
const maxDescriptors = 1000

// accepted returns the media types of manifests that the registry may serve: whatever a node can pull.
func accepted() []string {
	const docker = "application/vnd.docker.distribution.manifest."
	return []string{v1.MediaTypeImageManifest, v1.MediaTypeImageIndex, docker + "v2+json", docker + "list.v2+json"}
}

// Held is what the registry has at a target.
type Held struct {
	// Digest is the digest of the manifest there; "" if there is none, or none that can be parsed.
	Digest digest.Digest
	// Complete reports that the configuration and every layer are there too, each in its right size; of an index, those of an
	// image that the nodes can run.
	Complete bool
	// Sizes are the sizes in bytes of those blobs of the manifest that the registry has; nil for an index.
	Sizes map[digest.Digest]int64
}

// Held tells what the registry has at the target. A manifest that no node could use counts as none, so that the next push
// replaces it.
func (r *Registry) Held(ctx context.Context, target Target) (Held, error) {
	held, children, err := r.image(ctx, target)
	if err != nil || len(children) == 0 {
		return held, err
	}
	for _, child := range runnable(children) {
		image, _, err := r.image(ctx, Target{Repository: target.Repository, Reference: child.Digest.String()})
		if err != nil {
			return Held{}, err
		}
		if image.Complete {
			held.Complete = true
			break
		}
	}
	return held, nil
}

// image tells what the registry has at the target, and what an index there names.
func (r *Registry) image(ctx context.Context, target Target) (Held, []v1.Descriptor, error) {
	content, err := r.getManifest(ctx, target)
	if err != nil {
		return Held{}, nil, err
	}
	blobs, children, ok := parse(content)
	d := digestOf(content, target.Reference)
	if !ok || d == "" {
		return Held{}, nil, nil
	}
	if len(children) > 0 {
		return Held{Digest: d}, children, nil
	}
	contents := Contents{Config: blobs[0].Digest}
	for _, layer := range blobs[1:] {
		contents.Layers = append(contents.Layers, layer.Digest)
	}
	sizes, err := r.sizes(ctx, target.Repository, contents.blobs())
	if err != nil {
		return Held{}, nil, err
	}
	held := Held{Digest: d, Complete: true, Sizes: sizes}
	for _, blob := range blobs {
		held.Complete = held.Complete && sizes[blob.Digest] == blob.Size
	}
	return held, nil, nil
}

// parse returns the blobs that a manifest names, the configuration first, or the images of an index. ok is false for what is
// neither: anybody who may write to the registry can put it there.
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

// runnable returns the images of an index that a node would pull, which are for this machine's platform, or if there is none
// for any, as an emulator may serve it. They are few, whatever the index says.
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
	return found[:min(len(found), parallelHeads)]
}

// digestOf returns the digest of a manifest that was asked for by a reference; "" if that is another digest.
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

// getManifest returns the manifest at the target, or nil if there is none, or none that is small enough.
func (r *Registry) getManifest(ctx context.Context, target Target) ([]byte, error) {
	request, err := r.request(ctx, http.MethodGet, target.path(), nil)
	if err != nil {
		return nil, err
	}
	request.Header["Accept"] = accepted()
	response, err := r.send(request, http.StatusOK, http.StatusNotFound)
	if err != nil {
		return nil, fmt.Errorf("asking the registry for manifest %s of %s: %w", target.Reference, target.Repository, err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode == http.StatusNotFound {
		return nil, nil
	}
	content, err := io.ReadAll(io.LimitReader(response.Body, maxDocument+1))
	if err != nil {
		return nil, fmt.Errorf("reading manifest %s of %s: %w", target.Reference, target.Repository, err)
	}
	if len(content) > maxDocument {
		return nil, nil
	}
	return content, nil
}
