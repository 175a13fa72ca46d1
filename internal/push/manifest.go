package push

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// manifestSizes returns the sizes in bytes of the blobs that an image manifest contains. It returns nil if content is nil.
func manifestSizes(content []byte) (map[digest.Digest]int64, error) {
	if content == nil {
		return nil, nil
	}
	var manifest v1.Manifest
	if err := json.Unmarshal(content, &manifest); err != nil {
		return nil, fmt.Errorf("parsing the image manifest: %w", err)
	}
	sizes := map[digest.Digest]int64{manifest.Config.Digest: manifest.Config.Size}
	for _, layer := range manifest.Layers {
		sizes[layer.Digest] = layer.Size
	}
	return sizes, nil
}

// ManifestDigest returns the digest of the image manifest that Push would upload. sizes are the blobs' sizes in bytes. It
// returns "" if the image's own manifest cannot be parsed.
func (c Contents) ManifestDigest(sizes map[digest.Digest]int64) digest.Digest {
	content, _, err := c.manifest(sizes)
	if err != nil {
		return ""
	}
	return digest.FromBytes(content)
}

// manifest returns the image manifest to upload and its media type. If the image has no image manifest of its own, manifest
// generates one.
func (c Contents) manifest(sizes map[digest.Digest]int64) (content []byte, mediaType string, err error) {
	if c.Manifest != nil {
		mediaType, err = mediaTypeOf(c.Manifest)
		return c.Manifest, mediaType, err
	}
	content, err = json.Marshal(newManifest(c, sizes))
	return content, v1.MediaTypeImageManifest, err
}

// putManifest uploads the image manifest to the target and returns the manifest's digest.
func (r *Registry) putManifest(
	ctx context.Context, target Target, contents Contents, sizes map[digest.Digest]int64,
) (digest.Digest, error) {
	content, mediaType, err := contents.manifest(sizes)
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
		return "", fmt.Errorf("putting image manifest %s of %s: %w", target.Reference, target.Repository, err)
	}
	return digest.FromBytes(content), response.Body.Close()
}

// mediaTypeOf returns an image manifest's mediaType field, or OCI's default if the field is empty.
func mediaTypeOf(content []byte) (string, error) {
	var manifest v1.Manifest
	if err := json.Unmarshal(content, &manifest); err != nil {
		return "", fmt.Errorf("parsing the image manifest: %w", err)
	}
	if manifest.MediaType == "" {
		return v1.MediaTypeImageManifest, nil
	}
	return manifest.MediaType, nil
}

// newManifest generates an image manifest for uncompressed layers
// (https://github.com/opencontainers/image-spec/blob/v1.1.1/manifest.md).
func newManifest(contents Contents, sizes map[digest.Digest]int64) v1.Manifest {
	describe := func(mediaType string, d digest.Digest) v1.Descriptor {
		return v1.Descriptor{MediaType: mediaType, Digest: d, Size: sizes[d]}
	}
	manifest := v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: v1.MediaTypeImageManifest,
		Config:    describe(v1.MediaTypeImageConfig, contents.Config),
		Layers:    []v1.Descriptor{},
	}
	for _, layer := range contents.Layers {
		manifest.Layers = append(manifest.Layers, describe(v1.MediaTypeImageLayer, layer))
	}
	return manifest
}

// path returns the path of the target's image manifest below /v2/.
func (t Target) path() string { return t.Repository + "/manifests/" + t.Reference }
