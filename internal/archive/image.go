package archive

import (
	"context"
	"encoding/json"
	"io"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"kind-local-registry/internal/push"
)

// dockerConfig is the media type of a config in Docker's format, and dockerLayer the one of an uncompressed layer.
const (
	dockerConfig = "application/vnd.docker.container.image.v1+json"
	dockerLayer  = "application/vnd.docker.image.rootfs.diff.tar"
)

// Image is an image in an archive that nodes can run.
type Image struct {
	// Names are the image's references, as the archive has them. An image may have none.
	Names []string
	// Entry is the archive's entry that describes the image.
	Entry string
	// Manifest is the image manifest.
	Manifest []byte
	// IDs are the digests by which Docker may know the image: of its config, its image manifest, and indexes.
	IDs []digest.Digest
	// Blobs are the config and the layers, each once.
	Blobs []Blob
}

// Blob is a config or a layer.
type Blob struct {
	Digest digest.Digest
	Size   int64
	// Content is the content, or nil if Staged has it.
	Content []byte
	Staged  *push.Staged
}

// Read reads an archive to its end, and returns the images for the nodes' platform. The error is a *Fault if the archive is to blame.
func Read(ctx context.Context, source io.Reader, staging Staging) ([]Image, error) {
	c, err := read(ctx, source, staging)
	if err != nil {
		return nil, err
	}
	var images []Image
	switch {
	case c.has(indexFile):
		images, err = c.layoutImages()
	case c.has(manifestFile):
		images, err = c.dockerImages()
	default:
		return nil, &Fault{
			Problem: "contains no images: it has neither " + indexFile + " nor " + manifestFile,
			Remedy:  "give the file that docker save, or another tool, has written",
		}
	}
	if err == nil && len(images) == 0 {
		err = &Fault{Problem: "contains no images"}
	}
	return images, err
}

// layerFile is a layer of an image manifest, and the file that contains it.
type layerFile struct {
	v1.Descriptor

	name string
}

// image returns the image with that config and those layers. It returns a fault unless all of them are intact.
func (c *contents) image(config layerFile, layers []layerFile) (Image, error) {
	found, name, err := c.intact(config)
	if err != nil {
		return Image{}, err
	}
	settings, err := c.config(name)
	if err != nil {
		return Image{}, err
	}
	if len(settings.RootFS.DiffIDs) != len(layers) {
		return Image{}, faultf(name, "describes %d layers, and the image has %d", len(settings.RootFS.DiffIDs), len(layers))
	}
	if len(layers) == 0 {
		return Image{}, faultf(name, "describes an image without layers, which no node can run")
	}
	image := Image{IDs: []digest.Digest{found.digest}, Blobs: []Blob{found.exported()}}
	for i, one := range layers {
		layer, name, err := c.intact(one)
		if err != nil {
			return Image{}, err
		}
		if err := layer.unpacks(name, one.MediaType, settings.RootFS.DiffIDs[i]); err != nil {
			return Image{}, err
		}
		if !slices.ContainsFunc(image.Blobs, func(b Blob) bool { return b.Digest == layer.digest }) {
			image.Blobs = append(image.Blobs, layer.exported())
		}
	}
	return image, nil
}

// intact returns a file, if it has the size and the digest in its descriptor. They are not compared if the descriptor has no digest.
func (c *contents) intact(file layerFile) (*blob, string, error) {
	found, name, err := c.find(file.name)
	switch {
	case err != nil || file.Digest == "":
		return found, name, err
	case found.size != file.Size:
		return nil, name, faultf(name, "has %d bytes instead of %d", found.size, file.Size)
	case found.digest != file.Digest:
		return nil, name, faultf(name, "%v: it is %s", push.ErrMismatch, found.digest)
	}
	return found, name, nil
}

// exported returns the blob for other packages.
func (b *blob) exported() Blob {
	return Blob{Digest: b.digest, Size: b.size, Content: b.content, Staged: b.staged}
}

// unpacks returns a fault unless a node can unpack the layer, and gets the tar with that diffID.
func (b *blob) unpacks(name, mediaType string, diffID digest.Digest) error {
	switch {
	case b.layer.err != nil:
		return faultf(name, "%v", b.layer.err)
	case b.layer.compression != "" && (mediaType == v1.MediaTypeImageLayer || mediaType == dockerLayer):
		return faultf(name, "is compressed with %s, but its media type is %s", b.layer.compression, mediaType)
	case b.layer.diffID != diffID:
		return faultf(name, "does not match the config: its diffID is %s instead of %s", b.layer.diffID, diffID)
	}
	return nil
}

// config parses an image's config.
func (c *contents) config(name string) (v1.Image, error) {
	var settings v1.Image
	err := c.parse(name, &settings)
	if err == nil && settings.Architecture == "" {
		err = faultf(name, "is not the config of an image: it has no architecture")
	}
	return settings, err
}

// parse parses a document.
func (c *contents) parse(name string, into any) error {
	content, err := c.document(name)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(content, into); err != nil {
		return faultf(name, "is not the JSON that it should be: %v", err)
	}
	return nil
}

// newManifest returns an image manifest for layers that come without one. For uncompressed layers, it is the same manifest as a push from
// Docker generates.
func newManifest(config Blob, layers []v1.Descriptor) ([]byte, error) {
	return json.Marshal(v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: v1.MediaTypeImageManifest,
		Config:    v1.Descriptor{MediaType: v1.MediaTypeImageConfig, Digest: config.Digest, Size: config.Size},
		Layers:    layers,
	})
}

// layerType returns the media type of a layer.
func layerType(of compression) string {
	return v1.MediaTypeImageLayer + strings.TrimSuffix("+"+string(of), "+")
}
