package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxDocument is the size in bytes of the largest image manifest or index that registries accept.
const maxDocument = 4 << 20

// document is an image manifest or index.
type document struct {
	digest   digest.Digest
	size     int64           // in bytes
	config   v1.Descriptor   // its digest is "" in an index
	layers   []v1.Descriptor // in an image manifest
	children []v1.Descriptor // in an index
	subject  digest.Digest
	// image reports whether nodes can run it, or one of its children.
	image bool
}

// blobs returns the digests of the document and of everything that it refers to, each digest once.
func (d document) blobs() []digest.Digest {
	found := []digest.Digest{d.digest}
	for _, descriptor := range d.descriptors() {
		found = append(found, descriptor.Digest)
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// descriptors returns everything that the document refers to.
func (d document) descriptors() []v1.Descriptor {
	all := append(slices.Clone(d.layers), d.children...)
	if d.config.Digest != "" {
		all = append(all, d.config)
	}
	return all
}

// Keys returns the keys that a request uses which stores an image manifest or index in a repository: the document itself, and
// everything that it refers to.
func Keys(repository string, content []byte) []Key {
	d := digest.FromBytes(content)
	keys := []Key{{repository, d}, {Digest: d}}
	parsed, err := parse(content)
	if err != nil {
		return keys
	}
	for _, descriptor := range parsed.descriptors() {
		keys = append(keys, Key{Digest: descriptor.Digest})
	}
	for _, child := range parsed.children {
		keys = append(keys, Key{repository, child.Digest})
	}
	return keys
}

// refers returns the digests of an image manifest or index and of everything that it refers to. It returns only the document's own
// digest if the document is invalid.
func refers(content []byte) []digest.Digest {
	parsed, err := parse(content)
	if err != nil {
		return []digest.Digest{digest.FromBytes(content)}
	}
	return parsed.blobs()
}

// parse parses an image manifest or index. It ignores a digest that cannot be the digest of a blob here.
func parse(content []byte) (document, error) {
	var read struct {
		v1.Manifest

		Manifests []v1.Descriptor `json:"manifests"`
		FSLayers  []struct {
			BlobSum digest.Digest `json:"blobSum"`
		} `json:"fsLayers"` // of Docker's first manifest format, which registry:2 accepts
	}
	if err := json.Unmarshal(content, &read); err != nil {
		return document{}, fmt.Errorf("parsing an image manifest: %w", err)
	}
	d := document{digest: digest.FromBytes(content), size: int64(len(content)), image: len(read.Manifests) > 0 || len(read.FSLayers) > 0}
	for _, layer := range read.FSLayers {
		read.Layers = append(read.Layers, v1.Descriptor{Digest: layer.BlobSum})
	}
	usable := func(all []v1.Descriptor) []v1.Descriptor {
		return slices.DeleteFunc(all, func(one v1.Descriptor) bool { return !Key{Digest: one.Digest}.valid() })
	}
	d.layers, d.children = usable(read.Layers), usable(read.Manifests)
	if (Key{Digest: read.Config.Digest}).valid() {
		d.config = read.Config
	}
	if read.Subject != nil {
		d.subject = read.Subject.Digest
	}
	switch read.Config.MediaType {
	case v1.MediaTypeImageConfig, "application/vnd.docker.container.image.v1+json":
		d.image = true
	}
	return d, nil
}

// read reads an image manifest or index. It returns an error if the document is missing or does not match its digest.
func (s *Store) read(d digest.Digest) (document, error) {
	file := filepath.Join(s.blobPath(d), "data")
	info, err := os.Stat(file)
	if err == nil && info.Size() > maxDocument {
		err = errors.New("too large for an image manifest")
	}
	var content []byte
	if err == nil {
		content, err = os.ReadFile(file) // #nosec G304 -- a file in the data directory
	}
	if err == nil && digest.FromBytes(content) != d {
		err = errors.New("does not match its digest")
	}
	if err != nil {
		return document{}, fmt.Errorf("reading image manifest %s: %w", d, err)
	}
	return parse(content)
}

// ofAnotherTag returns the digest in a tag such as sha256-ABCD… or sha256-ABCD….sig, by which clients without the referrers API
// attach signatures to an image. It returns "" for any other tag.
func ofAnotherTag(tag string) digest.Digest {
	hex, found := strings.CutPrefix(tag, "sha256-")
	if !found || len(hex) < 64 || !hexDigest.MatchString(hex[:64]) {
		return ""
	}
	return digest.NewDigestFromEncoded(digest.SHA256, hex[:64])
}
