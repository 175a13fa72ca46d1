// Package archivetest makes image archives for tests, entry by entry, so that tests can damage them.
package archivetest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"runtime"
	"slices"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// Entry is an entry of an archive.
type Entry struct {
	tar.Header

	Content []byte
}

// File returns an ordinary file.
func File(name string, content []byte) Entry {
	return Entry{tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), Typeflag: tar.TypeReg}, content}
}

// Link returns a symbolic link.
func Link(name, target string) Entry {
	return Entry{Header: tar.Header{Name: name, Linkname: target, Typeflag: tar.TypeSymlink}}
}

// Tar returns the tar with those entries.
func Tar(t testing.TB, entries ...Entry) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, one := range entries {
		if err := w.WriteHeader(&one.Header); err != nil {
			t.Fatalf("writing %s: %v", one.Name, err)
		}
		if _, err := w.Write(one.Content); err != nil {
			t.Fatalf("writing %s: %v", one.Name, err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// Gzip compresses data.
func Gzip(t testing.TB, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// Zstd compresses data.
func Zstd(t testing.TB, data []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(data, nil)
}

// Image is an image to put into an archive.
type Image struct {
	// Name is its name, or "".
	Name string
	// Architecture is runtime.GOARCH if it is "".
	Architecture string
	// Layers are the layers' tars. Packed are the same layers as they are in the archive, or nil if they are not compressed.
	Layers, Packed [][]byte
	// LayerType is the layers' media type.
	LayerType string
}

// New returns an image with that name, whose layers contain a file with each of those contents.
func New(t testing.TB, name string, contents ...string) Image {
	t.Helper()
	image := Image{Name: name, LayerType: v1.MediaTypeImageLayer}
	for _, content := range contents {
		image.Layers = append(image.Layers, Tar(t, File("file", []byte(content))))
	}
	return image
}

// Pack returns the image with compressed layers.
func (i Image) Pack(t testing.TB, pack func(testing.TB, []byte) []byte, mediaType string) Image {
	t.Helper()
	i.Packed, i.LayerType = nil, mediaType
	for _, layer := range i.Layers {
		i.Packed = append(i.Packed, pack(t, layer))
	}
	return i
}

// packed returns the layers as they are in the archive.
func (i Image) packed() [][]byte {
	if i.Packed != nil {
		return i.Packed
	}
	return i.Layers
}

// Config returns the image's config.
func (i Image) Config(t testing.TB) []byte {
	t.Helper()
	settings := v1.Image{Platform: i.Platform(), RootFS: v1.RootFS{Type: "layers"}}
	for _, layer := range i.Layers {
		settings.RootFS.DiffIDs = append(settings.RootFS.DiffIDs, digest.FromBytes(layer))
	}
	return JSON(t, settings)
}

// Platform returns the platform of the image.
func (i Image) Platform() v1.Platform {
	if i.Architecture == "" {
		return v1.Platform{OS: "linux", Architecture: runtime.GOARCH}
	}
	return v1.Platform{OS: "linux", Architecture: i.Architecture}
}

// Manifest returns the image manifest.
func (i Image) Manifest(t testing.TB) []byte {
	t.Helper()
	manifest := v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest,
		Config: Describe(v1.MediaTypeImageConfig, i.Config(t)), Layers: []v1.Descriptor{},
	}
	for _, layer := range i.packed() {
		manifest.Layers = append(manifest.Layers, Describe(i.LayerType, layer))
	}
	return JSON(t, manifest)
}

// Describe returns the descriptor of a blob.
func Describe(mediaType string, content []byte) v1.Descriptor {
	return v1.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
}

// BlobFile returns a blob of an OCI image layout.
func BlobFile(content []byte) Entry {
	return File("blobs/sha256/"+digest.FromBytes(content).Encoded(), content)
}

// JSON encodes a document.
func JSON(t testing.TB, document any) []byte {
	t.Helper()
	content, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// Layout returns an OCI image layout with its index at the end.
func Layout(t testing.TB, images ...Image) []Entry {
	t.Helper()
	var blobs []Entry
	index := v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex}
	for _, image := range images {
		blobs = append(blobs, image.Blobs(t)...)
		descriptor := Describe(v1.MediaTypeImageManifest, image.Manifest(t))
		if image.Name != "" {
			descriptor.Annotations = map[string]string{"io.containerd.image.name": image.Name}
		}
		index.Manifests = append(index.Manifests, descriptor)
	}
	return append(Unique(blobs), File("index.json", JSON(t, index)), layoutFile())
}

// Nested returns an OCI image layout with an index of one image for several platforms. The first image's name is the name of all.
func Nested(t testing.TB, images ...Image) []Entry {
	t.Helper()
	var blobs []Entry
	inner := v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex}
	for _, image := range images {
		blobs = append(blobs, image.Blobs(t)...)
		descriptor := Describe(v1.MediaTypeImageManifest, image.Manifest(t))
		descriptor.Platform = new(image.Platform())
		descriptor.ArtifactType = v1.MediaTypeImageConfig // as go-containerregistry writes it
		inner.Manifests = append(inner.Manifests, descriptor)
	}
	descriptor := Describe(v1.MediaTypeImageIndex, JSON(t, inner))
	descriptor.Annotations = map[string]string{v1.AnnotationRefName: images[0].Name}
	outer := v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, Manifests: []v1.Descriptor{descriptor}}
	return append(Unique(blobs), BlobFile(JSON(t, inner)), File("index.json", JSON(t, outer)), layoutFile())
}

func layoutFile() Entry { return File("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)) }

// Blobs returns the image's blobs as files of an OCI image layout.
func (i Image) Blobs(t testing.TB) []Entry {
	t.Helper()
	blobs := []Entry{BlobFile(i.Config(t)), BlobFile(i.Manifest(t))}
	for _, layer := range i.packed() {
		blobs = append(blobs, BlobFile(layer))
	}
	return blobs
}

// Docker returns an archive as Docker 24 and older, and podman, save it: layers in directories, and links where images share a layer.
func Docker(t testing.TB, images ...Image) []Entry {
	t.Helper()
	var entries []Entry
	var manifest tarball.Manifest
	first := map[digest.Digest]string{}
	for _, image := range images {
		config := image.Config(t)
		described := tarball.Descriptor{Config: digest.FromBytes(config).Encoded() + ".json"}
		if image.Name != "" {
			described.RepoTags = []string{image.Name}
		}
		entries = append(entries, File(described.Config, config))
		for n, layer := range image.packed() {
			directory := digest.FromString(described.Config + string(rune('0'+n))).Encoded()
			name := directory + "/layer.tar"
			described.Layers = append(described.Layers, name)
			entries = append(entries, File(directory+"/VERSION", []byte("1.0")))
			if before := first[digest.FromBytes(layer)]; before != "" {
				entries = append(entries, Link(name, "../"+before))
				continue
			}
			first[digest.FromBytes(layer)] = name
			entries = append(entries, File(name, layer))
		}
		manifest = append(manifest, described)
	}
	return append(Unique(entries), File("manifest.json", JSON(t, manifest)), File("repositories", []byte("{}")))
}

// Unique drops entries whose name was there before.
func Unique(entries []Entry) []Entry {
	seen := map[string]bool{}
	return slices.DeleteFunc(entries, func(one Entry) bool {
		again := seen[one.Name]
		seen[one.Name] = true
		return again
	})
}
