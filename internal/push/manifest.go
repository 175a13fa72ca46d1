package push

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// accepted returns the media types of manifests that the registry may serve: whatever a node can pull.
func accepted() []string {
	const docker = "application/vnd.docker.distribution.manifest."
	return []string{v1.MediaTypeImageManifest, v1.MediaTypeImageIndex, docker + "v2+json", docker + "list.v2+json"}
}

// Held is what the registry has at a target.
type Held struct {
	// Digest is the digest of the manifest there; "" where there is none.
	Digest digest.Digest
	// Config is the digest of the image's configuration; "" for an index of several images.
	Config digest.Digest
	// Complete says that the configuration and every layer are there too, each in its right size. Of an index it says
	// nothing but that the index is there: registries take one only with all its images.
	Complete bool
}

// Held tells what the registry has at the target.
func (r *Registry) Held(ctx context.Context, target Target) (Held, error) {
	content, err := r.getManifest(ctx, target)
	if err != nil || content == nil {
		return Held{}, err
	}
	var manifest v1.Manifest
	if err := json.Unmarshal(content, &manifest); err != nil {
		return Held{}, fmt.Errorf("parsing manifest %s of %s: %w", target.Reference, target.Repository, err)
	}
	held := Held{Digest: digest.FromBytes(content), Config: manifest.Config.Digest, Complete: true}
	if held.Config == "" {
		return held, nil
	}
	blobs := append([]v1.Descriptor{manifest.Config}, manifest.Layers...)
	digests := Image{Config: held.Config}
	for _, layer := range manifest.Layers {
		digests.Layers = append(digests.Layers, layer.Digest)
	}
	sizes, err := r.sizes(ctx, target.Repository, digests.blobs())
	if err != nil {
		return Held{}, err
	}
	for _, blob := range blobs {
		held.Complete = held.Complete && sizes[blob.Digest] == blob.Size
	}
	return held, nil
}

// getManifest returns the manifest at the target, or nil where there is none.
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
	content, err := io.ReadAll(io.LimitReader(response.Body, maxDocument))
	if err != nil {
		return nil, fmt.Errorf("reading manifest %s of %s: %w", target.Reference, target.Repository, err)
	}
	return content, nil
}

// ownSizes returns the sizes of the blobs that a manifest names; nil for no manifest.
func ownSizes(content []byte) (map[digest.Digest]int64, error) {
	if content == nil {
		return nil, nil
	}
	var manifest v1.Manifest
	if err := json.Unmarshal(content, &manifest); err != nil {
		return nil, fmt.Errorf("parsing the image's manifest: %w", err)
	}
	sizes := map[digest.Digest]int64{manifest.Config.Digest: manifest.Config.Size}
	for _, layer := range manifest.Layers {
		sizes[layer.Digest] = layer.Size
	}
	return sizes, nil
}

// putManifest puts the image's manifest, which is made where it has none of its own, at the target, and returns its digest.
func (r *Registry) putManifest(
	ctx context.Context, target Target, image Image, sizes map[digest.Digest]int64,
) (digest.Digest, error) {
	content, mediaType := image.Manifest, v1.MediaTypeImageManifest
	var err error
	if content == nil {
		content, err = json.Marshal(newManifest(image, sizes))
	} else {
		mediaType, err = mediaTypeOf(content)
	}
	if err != nil {
		return "", err
	}
	request, err := r.request(ctx, http.MethodPut, target.path(), bytes.NewReader(content))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", mediaType)
	response, err := r.send(request, http.StatusCreated)
	if err != nil {
		return "", fmt.Errorf("putting manifest %s of %s: %w", target.Reference, target.Repository, err)
	}
	return digest.FromBytes(content), response.Body.Close()
}

// mediaTypeOf returns the media type that a manifest says of itself. OCI lets it say nothing.
func mediaTypeOf(content []byte) (string, error) {
	var manifest v1.Manifest
	if err := json.Unmarshal(content, &manifest); err != nil {
		return "", fmt.Errorf("parsing the image's manifest: %w", err)
	}
	if manifest.MediaType == "" {
		return v1.MediaTypeImageManifest, nil
	}
	return manifest.MediaType, nil
}

// newManifest returns the manifest of an image whose layers are not compressed
// (https://github.com/opencontainers/image-spec/blob/v1.1.1/manifest.md).
func newManifest(image Image, sizes map[digest.Digest]int64) v1.Manifest {
	describe := func(mediaType string, d digest.Digest) v1.Descriptor {
		return v1.Descriptor{MediaType: mediaType, Digest: d, Size: sizes[d]}
	}
	manifest := v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: v1.MediaTypeImageManifest,
		Config:    describe(v1.MediaTypeImageConfig, image.Config),
		Layers:    []v1.Descriptor{},
	}
	for _, layer := range image.Layers {
		manifest.Layers = append(manifest.Layers, describe(v1.MediaTypeImageLayer, layer))
	}
	return manifest
}

// path returns the target's path below /v2/.
func (t Target) path() string { return t.Repository + "/manifests/" + t.Reference }
