package testimage

import (
	"archive/tar"
	"bytes"
	"io/fs"
	"os"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// Child is an image in an index. Its platform is taken from its config.
type Child struct {
	Image       v1.Image
	Attestation bool // not a runnable image, but a description of the other images' provenance
}

// Layout returns an archive of an OCI image layout with an index of the images, in the format that docker buildx writes.
func Layout(t testing.TB, reference string, children ...Child) *bytes.Buffer {
	t.Helper()
	var index v1.ImageIndex = empty.Index
	for _, child := range children {
		config, err := child.Image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		descriptor := v1.Descriptor{Platform: config.Platform()}
		if child.Attestation {
			descriptor.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest"}
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: child.Image, Descriptor: descriptor})
	}
	directory := t.TempDir()
	path, err := layout.Write(directory, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	named := layout.WithAnnotations(map[string]string{
		"io.containerd.image.name": "docker.io/" + reference, "org.opencontainers.image.ref.name": "1",
	})
	if err := path.AppendIndex(index, named); err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	if err := w.AddFS(os.DirFS(directory).(fs.ReadDirFS)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &archive
}
