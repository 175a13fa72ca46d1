// Package promise defines the API through which the pusher promises images to the registry. The layers of a promised image arrive
// later. Until then, nodes get them as hard links.
//
//	POST   /promises                                {"name":…,"imageID":…,"repository":…,"manifest":…,"config":…}
//	DELETE /promises?repository=…&digest=…
//	GET    /promises                                [Promise…]
package promise

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// Path is the path of the API.
const Path = "/promises"

// MaxSize is the limit in bytes for a promise.
const MaxSize = 8 << 20

// maxManifest is the size in bytes of the largest image manifest that registries accept.
const maxManifest = 4 << 20

// Promise is an image that the registry serves before it has the layers.
type Promise struct {
	// Name is the image's reference on the host, and ImageID is its ID in the Docker daemon.
	Name    string        `json:"name"`
	ImageID digest.Digest `json:"imageID"`
	// Repository is the repository without the registry's host.
	Repository string `json:"repository"`
	// Manifest is the image manifest, and Config the image's config, byte for byte.
	Manifest []byte `json:"manifest"`
	Config   []byte `json:"config"`
}

// Digest returns the digest of the image manifest.
func (p Promise) Digest() digest.Digest { return digest.FromBytes(p.Manifest) }

// MediaType returns the media type in the image manifest, or OCI's default.
func (p Promise) MediaType() string {
	if manifest, err := p.manifest(); err == nil && manifest.MediaType != "" {
		return manifest.MediaType
	}
	return v1.MediaTypeImageManifest
}

// Layers returns the digests of the layers in the image manifest. It returns none if the manifest is invalid.
func (p Promise) Layers() []digest.Digest {
	manifest, err := p.manifest()
	if err != nil {
		return nil
	}
	var layers []digest.Digest
	for _, layer := range manifest.Layers {
		layers = append(layers, layer.Digest)
	}
	return layers
}

// Validate returns an error if the image manifest does not name the config or is too large for registries, or if a digest or the
// repository is invalid.
func (p Promise) Validate() error {
	if _, err := reference.WithName(p.Repository); err != nil {
		return fmt.Errorf("repository %q: %w", p.Repository, err)
	}
	if err := p.ImageID.Validate(); err != nil {
		return fmt.Errorf("image ID %q: %w", p.ImageID, err)
	}
	if len(p.Manifest) > maxManifest {
		return fmt.Errorf("the image manifest has %d bytes, more than %d", len(p.Manifest), maxManifest)
	}
	manifest, err := p.manifest()
	if err != nil {
		return err
	}
	if digest.FromBytes(p.Config) != manifest.Config.Digest {
		return errors.New("the config is not the one that the image manifest names")
	}
	for _, layer := range manifest.Layers {
		if err := layer.Digest.Validate(); err != nil {
			return fmt.Errorf("layer %q: %w", layer.Digest, err)
		}
	}
	return nil
}

// manifest parses the image manifest.
func (p Promise) manifest() (manifest v1.Manifest, err error) {
	if err := json.Unmarshal(p.Manifest, &manifest); err != nil {
		return v1.Manifest{}, fmt.Errorf("parsing the image manifest: %w", err)
	}
	return manifest, nil
}
