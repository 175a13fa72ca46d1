package docker_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"

	"kind-local-registry/internal/docker"
	"kind-local-registry/internal/docker/dockertest"
	"kind-local-registry/test/testimage"
)

// overlaid is a daemon whose data directory root has an image in the layout of the overlay2 driver.
type overlaid struct {
	engine *dockertest.Engine
	root   string
	built  dockertest.Image
}

// newOverlaid returns a daemon with an image that has those layers.
func newOverlaid(t *testing.T, layers ...dockertest.Blob) overlaid {
	t.Helper()
	o := overlaid{dockertest.NewEngine(t), t.TempDir(), dockertest.NewImage("a", layers...)}
	o.engine.UseOverlay2(o.root)
	o.engine.Tag("a/b:1", o.built)
	dockertest.StoreImage(t, o.root, o.built)
	return o
}

// image returns the image as a client reports it.
func (o overlaid) image(t *testing.T, client *docker.Client) docker.Image {
	t.Helper()
	found, err := client.Image(t.Context(), "a/b:1")
	if err != nil {
		t.Fatalf("Image: %v", err)
	}
	return found
}

// chain returns the chainID of the layer at index i.
func (o overlaid) chain(i int) digest.Digest {
	var diffIDs []digest.Digest
	for _, layer := range o.built.Layers[:i+1] {
		diffIDs = append(diffIDs, layer.Digest)
	}
	return identity.ChainID(diffIDs)
}

// metadata returns the path of a file with what the driver records about the layer at index i.
func (o overlaid) metadata(i int, name string) string {
	return filepath.Join(o.root, "image/overlay2/layerdb/sha256", o.chain(i).Encoded(), name)
}

// sizes returns the sizes of the image's blobs.
func (o overlaid) sizes() map[digest.Digest]int64 {
	sizes := map[digest.Digest]int64{o.built.ID(): o.built.Config.Size}
	for _, layer := range o.built.Layers {
		sizes[layer.Digest] = layer.Size
	}
	return sizes
}

func TestSizes_EqualThoseOfTheTars(t *testing.T) {
	t.Parallel()
	for name, layers := range testimage.All() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var blobs []dockertest.Blob
			for _, files := range layers {
				blobs = append(blobs, dockertest.NewBlob(testimage.Layer(t, files)))
			}
			o := newOverlaid(t, blobs...)
			if err := os.RemoveAll(filepath.Join(o.root, "overlay2")); err != nil { // the files are not needed
				t.Fatal(err)
			}
			client := newClient(t, o.engine)
			got, err := client.Sizes(t.Context(), o.image(t, client))
			if diff := cmp.Diff(o.sizes(), got); err != nil || diff != "" {
				t.Errorf("Sizes: error %v, (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestSizes_AreReadOncePerLayer(t *testing.T) {
	t.Parallel()
	o := newOverlaid(t, dockertest.Layer("one"), dockertest.Layer("two"))
	client := newClient(t, o.engine)
	image := o.image(t, client)
	if _, err := client.Sizes(t.Context(), image); err != nil {
		t.Fatalf("Sizes: %v", err)
	}
	for i := range o.built.Layers {
		if err := os.Remove(o.metadata(i, "tar-split.json.gz")); err != nil {
			t.Fatal(err)
		}
	}
	got, err := client.Sizes(t.Context(), image)
	if diff := cmp.Diff(o.sizes(), got); err != nil || diff != "" {
		t.Errorf("Sizes after the records were removed: error %v, (-want +got):\n%s", err, diff)
	}
	if _, err := newClient(t, o.engine).Sizes(t.Context(), image); err == nil {
		t.Error("Sizes of a client that has not read the records: no error")
	}
}

func TestSizes_FailForIncompleteRecords(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(overlaid) error{
		"no record of a layer":  func(o overlaid) error { return os.Remove(o.metadata(1, "tar-split.json.gz")) },
		"a truncated record":    func(o overlaid) error { return os.Truncate(o.metadata(1, "tar-split.json.gz"), 60) },
		"an empty record":       func(o overlaid) error { return os.Truncate(o.metadata(0, "tar-split.json.gz"), 0) },
		"a record without gzip": func(o overlaid) error { return os.WriteFile(o.metadata(0, "tar-split.json.gz"), []byte("{}"), 0o600) },
		"no config": func(o overlaid) error {
			return os.Remove(filepath.Join(o.root, "image/overlay2/imagedb/content/sha256", o.built.ID().Encoded()))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOverlaid(t, dockertest.Layer("one"), dockertest.Layer("two"))
			client := newClient(t, o.engine)
			image := o.image(t, client)
			if err := damage(o); err != nil {
				t.Fatal(err)
			}
			for range 2 { // an error is not remembered as a size
				if sizes, err := client.Sizes(t.Context(), image); err == nil {
					t.Errorf("Sizes = %v, want an error", sizes)
				}
			}
		})
	}
}

func TestSizes_DependOnTheStore(t *testing.T) {
	t.Parallel()
	o := newOverlaid(t, dockertest.Layer("one"))
	client := newClient(t, o.engine)
	image := o.image(t, client)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if sizes, err := client.Sizes(ctx, image); !errors.Is(err, context.Canceled) {
		t.Errorf("Sizes after the end of its context = %v, %v, want %v", sizes, err, context.Canceled)
	}
	o.engine.SetDriver("btrfs")
	if sizes, err := newClient(t, o.engine).Sizes(t.Context(), image); !errors.Is(err, docker.ErrStorageDriver) {
		t.Errorf("Sizes with the driver btrfs = %v, %v, want %v", sizes, err, docker.ErrStorageDriver)
	}
}
