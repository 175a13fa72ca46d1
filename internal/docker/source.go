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

	"kind-local-registry/internal/push"
)

// Contents returns the blobs to push for the image, and the sources to read them from. The error is a *rewrite.Refusal if the
// image cannot be pushed.
func (c *Client) Contents(ctx context.Context, image Image) (push.Contents, error) {
	layout, err := c.layout(ctx)
	if err != nil {
		return push.Contents{}, err
	}
	last := save{client: c, image: image}
	if !layout.containerd {
		contents := push.Contents{Config: image.ID, Layers: image.Layers, Size: image.Size, Sources: []push.Source{last}}
		if layout.driver == "overlay2" {
			contents.Sources = []push.Source{overlay2{root: layout.root, image: image}, last}
		}
		return contents, nil
	}
	direct := containerd{layout.Directories()}
	id, manifest, err := findManifest(ctx, image.ID, direct.document)
	if err != nil {
		id, manifest, err = findManifest(ctx, image.ID, last.document)
	}
	if err != nil {
		return push.Contents{}, fmt.Errorf("reading the image manifest of %s: %w", image.ID, err)
	}
	c.mu.Lock()
	c.manifests[image.ID] = id
	c.mu.Unlock()
	contents := push.Contents{Manifest: manifest, Size: image.Size, Sources: []push.Source{direct, last}}
	contents.Config, contents.Layers, err = parseManifest(id, manifest)
	return contents, err
}

// document returns a small blob of the image. It reads the stream up to that blob.
func (s save) document(ctx context.Context, d digest.Digest) (read []byte, err error) {
	err = s.Blobs(ctx, []digest.Digest{d}, func(_ digest.Digest, _ int64, blob io.Reader) error {
		read, err = readDocument(blob, d)
		return err
	})
	return read, err
}

// manifestID returns the digest of the image manifest that Contents will choose. It returns "" if the daemon would have to save
// the image to reveal the digest.
func (c *Client) manifestID(ctx context.Context, layout Layout, found client.ImageInspectResult) digest.Digest {
	c.mu.Lock()
	id, known := c.manifests[digest.Digest(found.ID)]
	c.mu.Unlock()
	if known {
		return id
	}
	id, _, err := findManifest(ctx, digest.Digest(found.ID), containerd{layout.Directories()}.document)
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
