//go:build daemon

package daemon

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/docker/dockertest"
	"kind-local-registry/internal/push"
	"kind-local-registry/internal/registry/registrytest"
	"kind-local-registry/test/dockerd"
	"kind-local-registry/test/testimage"
)

// TestSources_GiveTheSameImageForEveryShape reads images of every shape from every source of every daemon. Each source must
// return each blob once, with content that matches its digest. The config and the diffIDs must be those of the original image.
// Pushes from all of a daemon's sources must upload the same image manifest.
func TestSources_GiveTheSameImageForEveryShape(t *testing.T) {
	t.Parallel()
	for kind, files := range testimage.All() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			var layers [][]byte
			for _, layer := range files {
				layers = append(layers, testimage.Layer(t, layer))
			}
			image := testimage.Image(t, layers...)
			archive := saveArchive(t, image, "test/"+slug(kind)+":1")
			conforms(t, before25(t, image, "test/"+slug(kind)+":1"), "test/"+slug(kind)+":1", image)
			for _, d := range daemons {
				d.Load(t, bytes.NewReader(archive))
				conforms(t, d, "test/"+slug(kind)+":1", image)
			}
		})
	}
}

// conforms checks every source that the daemon has for the image.
func conforms(t *testing.T, d *daemon, reference string, want v1.Image) {
	t.Helper()
	c := d.Client(t)
	found, err := c.Image(t.Context(), reference)
	if err != nil {
		t.Fatalf("%s: Image: %v", d.name, err)
	}
	contents, err := c.Contents(t.Context(), found)
	if err != nil {
		t.Fatalf("%s: Contents: %v", d.name, err)
	}
	wantDiffIDs, wantConfig := identity(t, want)
	if contents.Config != wantConfig {
		t.Errorf("%s: config %s, want %s", d.name, contents.Config, wantConfig)
	}
	manifests := map[digest.Digest]string{}
	for _, source := range contents.Sources {
		diffIDs := readAll(t, source, contents)
		if diff := cmp.Diff(wantDiffIDs, diffIDs); diff != "" {
			t.Errorf("%s by %s: diffIDs (-want +got):\n%s", d.name, source.Name(), diff)
		}
		manifests[pushed(t, contents, source)] = source.Name()
	}
	if len(contents.Sources) < d.sources || len(manifests) != 1 {
		t.Errorf("%s: image manifests by source %v, want one for at least %d sources", d.name, manifests, d.sources)
	}
	if contents.Manifest == nil && !t.Failed() {
		sameDigest(t, d, manifests, want)
	}
}

// sameDigest fails the test unless a push from a fake daemon uploads the same image manifest. For daemons that do not keep
// manifests, the manifest must not depend on the daemon.
func sameDigest(t *testing.T, d *daemon, manifests map[digest.Digest]string, image v1.Image) {
	t.Helper()
	e := before25(t, image, "same:1")
	c := e.Client(t)
	found, err := c.Image(t.Context(), "same:1")
	if err != nil {
		t.Fatal(err)
	}
	contents, err := c.Contents(t.Context(), found)
	if err != nil {
		t.Fatal(err)
	}
	want := pushed(t, contents, contents.Sources[0])
	if _, same := manifests[want]; !same {
		t.Errorf("%s: image manifests %v, want %s", d.name, manifests, want)
	}
}

// before25 returns a fake daemon that saves the image in the format of Docker 20.10, a release that is no longer available.
func before25(t *testing.T, image v1.Image, reference string) *daemon {
	t.Helper()
	config, err := image.RawConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	old := dockertest.Image{Config: dockertest.NewBlob(config), OS: "linux"}
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, layer := range layers {
		r, err := layer.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		old.Layers = append(old.Layers, dockertest.NewBlob(content))
	}
	engine := dockertest.NewEngine(t)
	engine.SaveAsBefore25()
	engine.Tag(reference, old)
	return &daemon{name: "20.10", sources: 1, Daemon: &dockerd.Daemon{Host: engine.Host()}}
}

// readAll reads every blob of the image from the source, verifies it, and returns the diffIDs of the layers.
func readAll(t *testing.T, source push.Source, contents push.Contents) []digest.Digest {
	t.Helper()
	want := append([]digest.Digest{contents.Config}, contents.Layers...)
	var mu sync.Mutex
	diffIDs := map[digest.Digest]digest.Digest{}
	err := source.Blobs(t.Context(), unique(want), func(d digest.Digest, size int64, blob io.Reader) error {
		content, err := io.ReadAll(blob)
		if err != nil {
			t.Errorf("%s: reading blob %s: %v", source.Name(), d, err)
		}
		if got := digest.FromBytes(content); got != d || size >= 0 && size != int64(len(content)) {
			t.Errorf("%s: blob %s reads as %s, with %d bytes of %d", source.Name(), d, got, len(content), size)
		}
		mu.Lock()
		defer mu.Unlock()
		if _, again := diffIDs[d]; again {
			t.Errorf("%s: blob %s came twice", source.Name(), d)
		}
		diffIDs[d] = uncompressed(t, content)
		return nil
	})
	if err != nil {
		t.Errorf("%s: Blobs: %v", source.Name(), err)
	}
	var layers []digest.Digest
	for _, layer := range contents.Layers {
		layers = append(layers, diffIDs[layer])
	}
	return layers
}

// pushed pushes the image from the source to a new registry, and returns the digest by which the image can be pulled.
func pushed(t *testing.T, contents push.Contents, source push.Source) digest.Digest {
	t.Helper()
	url := registrytest.Start(t, t.TempDir())
	registry, err := push.NewRegistry(url)
	if err != nil {
		t.Fatal(err)
	}
	defer registry.Close()
	contents.Sources = []push.Source{source}
	target := push.Target{Repository: "a/b", Reference: "1"}
	result, err := registry.Push(t.Context(), target, contents, push.Options{})
	if err != nil {
		t.Fatalf("pushing from %s: %v", source.Name(), err)
	}
	reference, err := name.ParseReference(strings.TrimPrefix(url, "http://") + "/a/b@" + result.Digest.String())
	if err != nil {
		t.Fatal(err)
	}
	pulled, err := remote.Image(reference, remote.WithContext(t.Context()))
	if err != nil {
		t.Fatalf("pulling the image from %s: %v", source.Name(), err)
	}
	// Full validation would fail, because go-containerregistry expects compressed layers.
	if err := validate.Image(pulled, validate.Fast); err != nil {
		t.Errorf("validating the image from %s: %v", source.Name(), err)
	}
	return result.Digest
}

// identity returns the image's diffIDs and the digest of its config.
func identity(t *testing.T, image v1.Image) (diffIDs []digest.Digest, config digest.Digest) {
	t.Helper()
	file, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range file.RootFS.DiffIDs {
		diffIDs = append(diffIDs, digest.Digest(id.String()))
	}
	id, err := image.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	return diffIDs, digest.Digest(id.String())
}

// uncompressed returns the digest of a blob's uncompressed content.
func uncompressed(t *testing.T, content []byte) digest.Digest {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		return digest.FromBytes(content)
	}
	d, err := digest.FromReader(r)
	if err != nil {
		t.Fatalf("uncompressing: %v", err)
	}
	return d
}

// saveArchive returns the archive that docker save writes for the image.
func saveArchive(t *testing.T, image v1.Image, reference string) []byte {
	t.Helper()
	tag, err := name.NewTag(reference)
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	if err := tarball.Write(tag, image, &archive); err != nil {
		t.Fatalf("archiving: %v", err)
	}
	return archive.Bytes()
}

func unique(digests []digest.Digest) (once []digest.Digest) {
	seen := map[digest.Digest]bool{}
	for _, d := range digests {
		if !seen[d] {
			once = append(once, d)
		}
		seen[d] = true
	}
	return once
}

func slug(text string) string {
	return strings.NewReplacer(" ", "-", ",", "").Replace(strings.ToLower(text))
}
