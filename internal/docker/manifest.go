package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"kind-local-registry/internal/rewrite"
)

// document returns a small blob of an image, such as its image manifest, by digest.
type document func(ctx context.Context, d digest.Digest) ([]byte, error)

// findManifest returns the digest and content of the image manifest for the nodes' platform. id is the digest of an image
// manifest or of an index.
func findManifest(ctx context.Context, id digest.Digest, read document) (digest.Digest, []byte, error) {
	content, err := read(ctx, id)
	if err != nil {
		return "", nil, err
	}
	var index v1.Index
	if err := json.Unmarshal(content, &index); err != nil {
		return "", nil, fmt.Errorf("parsing image manifest %s: %w", id, err)
	}
	if len(index.Manifests) == 0 {
		return id, content, nil
	}
	var missing error
	for _, child := range preferred(index.Manifests) {
		content, err := read(ctx, child.Digest)
		if err == nil {
			return child.Digest, content, nil
		}
		missing = err
	}
	return "", nil, wrongPlatform(index.Manifests, missing)
}

// preferred returns the image manifests that the nodes can run, the best one first. They are the image manifests for this
// process's platform, which is also the nodes' platform. If there are none, but exactly one image manifest is for linux,
// preferred returns that one, because an emulator on the host may run it.
func preferred(manifests []v1.Descriptor) []v1.Descriptor {
	nodes := platforms.Default()
	var matching, others []v1.Descriptor
	for _, m := range manifests {
		switch {
		case m.Annotations["vnd.docker.reference.type"] != "": // an attestation
		case m.Platform == nil || nodes.Match(*m.Platform):
			matching = append(matching, m)
		case m.Platform.OS == "linux":
			others = append(others, m)
		}
	}
	slices.SortStableFunc(matching, func(a, b v1.Descriptor) int {
		switch {
		case a.Platform == nil || b.Platform == nil:
			return 0
		case nodes.Less(*a.Platform, *b.Platform):
			return -1
		}
		return 0
	})
	if len(matching) == 0 && len(others) == 1 {
		return others
	}
	return matching
}

// wrongPlatform returns the refusal for an index that has no image for the nodes' platform.
func wrongPlatform(manifests []v1.Descriptor, missing error) error {
	var has []string
	for _, m := range manifests {
		if m.Platform != nil && m.Annotations["vnd.docker.reference.type"] == "" {
			has = append(has, platforms.Format(*m.Platform))
		}
	}
	detail := fmt.Sprintf("the image is for %s, the nodes run %s", strings.Join(has, ", "), platforms.DefaultString())
	if missing != nil {
		detail = fmt.Sprintf("the daemon does not have the image for %s: %v", platforms.DefaultString(), missing)
	}
	return &rewrite.Refusal{Reason: rewrite.WrongPlatform, Detail: detail}
}

// parseManifest returns the digests under which the image's config and layers are stored. The error is a *rewrite.Refusal if no
// registry can serve the image to a node, for example because a layer is foreign.
func parseManifest(id digest.Digest, content []byte) (config digest.Digest, layers []digest.Digest, err error) {
	var manifest v1.Manifest
	if err := json.Unmarshal(content, &manifest); err != nil {
		return "", nil, fmt.Errorf("parsing image manifest %s: %w", id, err)
	}
	refuse := func(detail string) (digest.Digest, []digest.Digest, error) {
		return "", nil, &rewrite.Refusal{Reason: rewrite.Unservable, Detail: detail}
	}
	switch manifest.Config.MediaType {
	case v1.MediaTypeImageConfig, "application/vnd.docker.container.image.v1+json":
	default:
		return refuse(fmt.Sprintf("manifest %s has a config of type %q, so it is not a container image", id, manifest.Config.MediaType))
	}
	for _, layer := range manifest.Layers {
		foreign := strings.Contains(layer.MediaType, "foreign") || strings.Contains(layer.MediaType, "nondistributable")
		if foreign || len(layer.URLs) > 0 {
			return refuse(fmt.Sprintf("layer %s of manifest %s is a foreign layer, which registries do not serve", layer.Digest, id))
		}
		if err := layer.Digest.Validate(); err != nil {
			return "", nil, fmt.Errorf("parsing image manifest %s: layer %q: %w", id, layer.Digest, err)
		}
		layers = append(layers, layer.Digest)
	}
	return manifest.Config.Digest, layers, manifest.Config.Digest.Validate()
}
