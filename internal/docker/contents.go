package docker

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/moby/moby/client"
	"github.com/moby/moby/client/pkg/versions"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// Contents is what of an image is to be moved, and where it can be read.
type Contents struct {
	// Config and Layers are the digests of the blobs, as they are to be stored; the lowest layer first.
	Config digest.Digest
	Layers []digest.Digest
	// Manifest is the image's own manifest, byte for byte; nil where it has none, and one of uncompressed layers is to be
	// made. The containerd image store keeps manifests, Docker's own does not.
	Manifest []byte
	// Sources give the blobs, the fastest first. The last of them is one that every daemon has.
	Sources []Source
}

// Contents returns what of the image is to be moved. The error is a *rewrite.Refusal where that cannot be.
func (c *Client) Contents(ctx context.Context, image Image) (Contents, error) {
	layout, err := c.layout(ctx)
	if err != nil {
		return Contents{}, err
	}
	last := save{client: c, image: image}
	if !layout.containerd {
		contents := Contents{Config: image.ID, Layers: image.Layers, Sources: []Source{last}}
		if layout.driver == "overlay2" {
			contents.Sources = []Source{overlay2{root: layout.root, image: image}, last}
		}
		return contents, nil
	}
	direct := content{layout.Directories()}
	id, manifest, err := findManifest(ctx, image.ID, direct.document)
	if err != nil {
		id, manifest, err = findManifest(ctx, image.ID, last.document)
	}
	if err != nil {
		return Contents{}, fmt.Errorf("reading the manifest of image %s: %w", image.ID, err)
	}
	c.mu.Lock()
	c.manifests[image.ID] = id
	c.mu.Unlock()
	contents := Contents{Manifest: manifest, Sources: []Source{direct, last}}
	contents.Config, contents.Layers, err = parseManifest(id, manifest)
	return contents, err
}

// document returns a small blob of the image, out of a stream that is read until then.
func (s save) document(ctx context.Context, d digest.Digest) (read []byte, err error) {
	err = s.Blobs(ctx, []digest.Digest{d}, func(_ digest.Digest, _ int64, blob io.Reader) error {
		read, err = readDocument(blob, d)
		return err
	})
	return read, err
}

// manifestID returns the digest of the manifest that Contents will choose, or "" where that takes too long to find out.
func (c *Client) manifestID(ctx context.Context, layout Layout, found client.ImageInspectResult) digest.Digest {
	c.mu.Lock()
	id, known := c.manifests[digest.Digest(found.ID)]
	c.mu.Unlock()
	if known {
		return id
	}
	id, _, err := findManifest(ctx, digest.Digest(found.ID), content{layout.Directories()}.document)
	if err == nil {
		return id
	}
	if found.Descriptor != nil && !strings.Contains(found.Descriptor.MediaType, "index") &&
		!strings.Contains(found.Descriptor.MediaType, "list") {
		return found.Descriptor.Digest
	}
	if versions.LessThan(c.api.ClientVersion(), "1.48") {
		return ""
	}
	listed, err := c.api.ImageInspect(ctx, found.ID, client.ImageInspectWithManifests(true))
	if err != nil {
		return ""
	}
	var available []v1.Descriptor
	for _, m := range listed.Manifests {
		if m.Available && m.ImageData != nil {
			m.Descriptor.Platform = &m.ImageData.Platform
			available = append(available, m.Descriptor)
		}
	}
	if best := preferred(available); len(best) > 0 {
		return best[0].Digest
	}
	return ""
}
