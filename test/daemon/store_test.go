//go:build daemon

package daemon

import (
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/rewrite"
	"kind-local-registry/test/dockerd"
	"kind-local-registry/test/testimage"
)

// child is an image in an index.
type child struct {
	platform    string
	attestation bool
	foreign     bool
}

// TestContents_ChoosesOneManifestOfAnIndex tests the containerd image store, which keeps indexes.
func TestContents_ChoosesOneManifestOfAnIndex(t *testing.T) {
	t.Parallel()
	for what, test := range map[string]struct {
		children []child
		want     int // index of the expected child
		refusal  rewrite.Reason
	}{
		"the image for the nodes' platform":           {children: []child{{platform: "linux/arm64"}, {platform: "linux/amd64"}}, want: 1},
		"never an attestation":                        {children: []child{{platform: "unknown/unknown", attestation: true}, {platform: "linux/amd64"}}, want: 1},
		"the only linux image, which may be emulated": {children: []child{{platform: "linux/s390x"}, {platform: "unknown/unknown", attestation: true}}, want: 0},
		"none of several other platforms":             {children: []child{{platform: "linux/s390x"}, {platform: "linux/arm64"}}, refusal: rewrite.WrongPlatform},
		"none for Windows":                            {children: []child{{platform: "windows/amd64"}}, refusal: rewrite.WrongPlatform},
		"none with a foreign layer":                   {children: []child{{platform: "linux/amd64", foreign: true}}, refusal: rewrite.Unservable},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			reference := "index/" + slug(strings.ReplaceAll(what, "'", "")) + ":1"
			images := childImages(t, test.children)
			d := daemonOf(t, dockerd.Containerd)
			d.Load(t, testimage.Layout(t, reference, images...))
			c := d.Client(t)
			image, err := c.Image(t.Context(), reference)
			if err != nil {
				t.Fatalf("Image: %v", err)
			}
			contents, err := c.Contents(t.Context(), image)
			if test.refusal != "" {
				if rewrite.ReasonOf(err) != test.refusal {
					t.Errorf("Contents = %v, want a refusal with %s", err, test.refusal)
				}
				return
			}
			if err != nil {
				t.Fatalf("Contents: %v", err)
			}
			want, err := images[test.want].Image.Digest()
			if err != nil {
				t.Fatal(err)
			}
			if got := digest.FromBytes(contents.Manifest); got.String() != want.String() || image.Manifest != got {
				t.Errorf("Contents has manifest %s and Image has %s, want %s", got, image.Manifest, want)
			}
			for _, source := range contents.Sources {
				if got := pushed(t, contents, source); got.String() != want.String() {
					t.Errorf("pushed from %s: %s, want %s", source.Name(), got, want)
				}
			}
		})
	}
}

// TestPush_OfADigestNeedsTheDaemonsImageManifest also shows that Docker's own image store does not keep image manifests.
func TestPush_OfADigestNeedsTheDaemonsImageManifest(t *testing.T) {
	t.Parallel()
	eachDaemon(t, func(t *testing.T, d *daemon) {
		noise(t, d, "digest/a:1", 100_000, 60)
		image, err := d.Client(t).Image(t.Context(), "digest/a:1")
		if err != nil {
			t.Fatal(err)
		}
		s := newService(t, d, t.TempDir())
		if image.Manifest != "" {
			s.pull(t, "digest/a", mustPush(t, s, "digest/a@"+image.Manifest.String()))
			return
		}
		_, err = s.Push(t.Context(), "digest/a@"+image.ID.String(), nil)
		if rewrite.ReasonOf(err) != rewrite.DigestNotHeld {
			t.Errorf("Push of a digest = %v, want a refusal with %s", err, rewrite.DigestNotHeld)
		}
	})
}

// daemonOf returns the daemon with the given store.
func daemonOf(t *testing.T, store dockerd.Store) *daemon {
	t.Helper()
	for _, d := range daemons {
		if d.name == string(store) {
			return d
		}
	}
	t.Fatalf("no daemon with the store %s", store)
	return nil
}

func childImages(t *testing.T, children []child) (made []testimage.Child) {
	t.Helper()
	for _, c := range children {
		image := testimage.For(t, c.platform, testimage.Image(t, testimage.Layer(t, []testimage.File{testimage.Regular("platform", c.platform)})))
		if c.foreign {
			var err error
			layer := static.NewLayer(testimage.Layer(t, []testimage.File{testimage.Regular("base", "foreign")}), types.OCIRestrictedLayer)
			if image, err = mutate.Append(image, mutate.Addendum{Layer: layer, URLs: []string{"https://example.com/layer"}}); err != nil {
				t.Fatal(err)
			}
		}
		made = append(made, testimage.Child{Image: image, Attestation: c.attestation})
	}
	return made
}
