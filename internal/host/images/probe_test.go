package images

import (
	"bytes"
	"io"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// An image that differed in each run would add a manifest to the registry in each run.
func TestProbe_IsAlwaysTheSameImage(t *testing.T) {
	t.Parallel()
	var digests []string
	for range 2 {
		archive, err := probe()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		tag, err := name.NewTag(ProbeImage)
		if err != nil {
			t.Fatal(err)
		}
		image, err := tarball.Image(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }, &tag)
		if err != nil {
			t.Fatal(err)
		}
		digest, err := image.Digest()
		if err != nil {
			t.Fatal(err)
		}
		if layers, err := image.Layers(); err != nil || len(layers) != 1 {
			t.Errorf("the probe has %d layers, %v; want 1", len(layers), err)
		}
		digests = append(digests, digest.String())
	}
	if digests[0] != digests[1] {
		t.Errorf("digests = %q, want the same twice", digests)
	}
}
