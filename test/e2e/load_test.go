//go:build e2e

package e2e

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"kind-local-registry/test/testimage"
)

// newBlobs is the number of blobs in loadImage's image that no registry has yet: the config and the only layer.
const newBlobs = 2

// loadImage loads a new host-only image whose only layer contains the program hello and random bytes. It is ten times as fast as
// buildImage.
func loadImage(t *testing.T, reference string, megabytes int) string {
	t.Helper()
	ballast := make([]byte, megabytes*1_000_000)
	_, _ = rand.Read(ballast) // never fails
	layer := testimage.Layer(t, []testimage.File{helloFile(t), testimage.Regular("ballast", string(ballast))})
	image, err := mutate.AppendLayers(empty.Image, static.NewLayer(layer, types.DockerUncompressedLayer))
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", runtime.GOARCH
	config.Config = v1.Config{Entrypoint: []string{"/hello"}}
	if image, err = mutate.ConfigFile(image, config); err != nil {
		t.Fatal(err)
	}
	load(t, reference, image)
	return reference
}

// helloFile returns the program hello as a file for a layer.
func helloFile(t *testing.T) testimage.File {
	t.Helper()
	program, err := os.ReadFile(suite.hello)
	if err != nil {
		t.Fatal(err)
	}
	file := testimage.Regular("hello", string(program))
	file.Mode = 0o755
	return file
}

// load loads the image into the host's Docker daemon, and removes it when the test ends.
func load(t *testing.T, reference string, image v1.Image) {
	t.Helper()
	tag, err := name.NewTag(reference)
	if err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(t.TempDir(), "image.tar")
	if err := tarball.WriteToFile(archive, tag, image); err != nil {
		t.Fatal(err)
	}
	docker(t, "load", "-q", "-i", archive)
	if err := os.Remove(archive); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removeImage(t, reference) })
}
