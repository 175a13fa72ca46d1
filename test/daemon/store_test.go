//go:build daemon

package daemon

import (
	"archive/tar"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"

	"kind-local-registry/test/shape"
	"kind-local-registry/webhook/rewrite"
)

// child is an image in an index.
type child struct {
	platform    string
	attestation bool
	foreign     bool
}

// TestContents_ChoosesOneManifestOfAnIndex is for the containerd image store, which keeps indexes.
func TestContents_ChoosesOneManifestOfAnIndex(t *testing.T) {
	t.Parallel()
	for what, test := range map[string]struct {
		children []child
		want     int // which child
		refusal  rewrite.Reason
	}{
		"the one for the nodes' platform":               {children: []child{{platform: "linux/arm64"}, {platform: "linux/amd64"}}, want: 1},
		"never an attestation":                          {children: []child{{platform: "unknown/unknown", attestation: true}, {platform: "linux/amd64"}}, want: 1},
		"the only one for linux, which may be emulated": {children: []child{{platform: "linux/s390x"}, {platform: "unknown/unknown", attestation: true}}, want: 0},
		"none of several for other platforms":           {children: []child{{platform: "linux/s390x"}, {platform: "linux/arm64"}}, refusal: rewrite.WrongPlatform},
		"none for Windows":                              {children: []child{{platform: "windows/amd64"}}, refusal: rewrite.WrongPlatform},
		"none with a foreign layer":                     {children: []child{{platform: "linux/amd64", foreign: true}}, refusal: rewrite.Unservable},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			reference := "index/" + slug(strings.ReplaceAll(what, "'", "")) + ":1"
			images := childImages(t, test.children)
			d := daemonNamed(t, "containerd")
			d.load(t, layoutArchive(t, images, test.children, reference))
			c := d.client(t)
			image, err := c.Image(t.Context(), reference)
			if err != nil {
				t.Fatalf("Image: %v", err)
			}
			contents, err := c.Contents(t.Context(), image)
			if test.refusal != "" {
				var refusal *rewrite.Refusal
				if !errors.As(err, &refusal) || refusal.Reason != test.refusal {
					t.Errorf("Contents = %v, want a refusal with %s", err, test.refusal)
				}
				return
			}
			if err != nil {
				t.Fatalf("Contents: %v", err)
			}
			want, err := images[test.want].Digest()
			if err != nil {
				t.Fatal(err)
			}
			if got := digest.FromBytes(contents.Manifest); got.String() != want.String() || image.Manifest != got {
				t.Errorf("manifest %s, known before as %s, want %s", got, image.Manifest, want)
			}
			for _, source := range contents.Sources {
				if got := pushed(t, contents, image.Size, source); got.String() != want.String() {
					t.Errorf("pushed from %s: %s, want %s", source.Name(), got, want)
				}
			}
		})
	}
}

// TestPush_OfADigestIsServedWhereTheDaemonHasThatManifest: Docker's own store has none.
func TestPush_OfADigestIsServedWhereTheDaemonHasThatManifest(t *testing.T) {
	t.Parallel()
	eachDaemon(t, func(t *testing.T, d *dockerd) {
		noise(t, d, "digest/a:1", 100_000, 60)
		image, err := d.client(t).Image(t.Context(), "digest/a:1")
		if err != nil {
			t.Fatal(err)
		}
		s := newService(t, d, t.TempDir())
		if image.Manifest != "" {
			s.pull(t, "digest/a", mustPush(t, s, "digest/a@"+image.Manifest.String()))
			return
		}
		_, err = s.Push(t.Context(), "digest/a@"+image.ID.String(), nil)
		var refusal *rewrite.Refusal
		if !errors.As(err, &refusal) || refusal.Reason != rewrite.DigestNotHeld {
			t.Errorf("Push of a digest = %v, want a refusal with %s", err, rewrite.DigestNotHeld)
		}
	})
}

// daemonNamed returns the daemon of that name.
func daemonNamed(t *testing.T, name string) *dockerd {
	t.Helper()
	for _, d := range daemons {
		if d.name == name {
			return d
		}
	}
	t.Fatalf("no daemon %s", name)
	return nil
}

func childImages(t *testing.T, children []child) []v1.Image {
	t.Helper()
	var images []v1.Image
	for _, c := range children {
		image := shape.Image(t, shape.Layer(t, []shape.File{shape.Regular("platform", c.platform)}))
		config, err := image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		config = config.DeepCopy()
		config.OS, config.Architecture, _ = strings.Cut(c.platform, "/")
		if image, err = mutate.ConfigFile(image, config); err != nil {
			t.Fatal(err)
		}
		if c.foreign {
			layer := static.NewLayer(shape.Layer(t, []shape.File{shape.Regular("base", "of somebody else")}), types.OCIRestrictedLayer)
			if image, err = mutate.Append(image, mutate.Addendum{Layer: layer, URLs: []string{"https://example.com/layer"}}); err != nil {
				t.Fatal(err)
			}
		}
		images = append(images, image)
	}
	return images
}

// layoutArchive returns an OCI image layout with an index of the images, as docker buildx writes it.
func layoutArchive(t *testing.T, images []v1.Image, children []child, reference string) *bytes.Buffer {
	t.Helper()
	var index v1.ImageIndex = empty.Index
	for i, image := range images {
		platform, err := v1.ParsePlatform(children[i].platform)
		if err != nil {
			t.Fatal(err)
		}
		descriptor := v1.Descriptor{Platform: platform}
		if children[i].attestation {
			descriptor.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest"}
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: descriptor})
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
