package archive_test

import (
	"bytes"
	"context"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"go.uber.org/goleak"

	"kind-local-registry/internal/archive"
	"kind-local-registry/internal/archive/archivetest"
	"kind-local-registry/internal/push"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sink is a Staging that keeps nothing.
type sink struct{ known []digest.Digest }

func (s *sink) Add(_ context.Context, known digest.Digest, _ int64, content io.Reader) (*push.Staged, error) {
	s.known = append(s.known, known)
	_, err := io.Copy(io.Discard, content)
	return &push.Staged{}, err
}

func read(t *testing.T, content []byte) []archive.Image {
	t.Helper()
	images, err := archive.Read(t.Context(), bytes.NewReader(content), &sink{})
	if err != nil {
		t.Fatal(err)
	}
	return images
}

func TestRead_ReturnsTheSameImageFromEveryFormat(t *testing.T) {
	t.Parallel()
	app := archivetest.New(t, "docker.io/example/app:v1", "lower", strings.Repeat("upper", 50_000))
	foreign := archivetest.New(t, "example/app:v1", "other")
	foreign.Architecture = "s390x"
	for format, entries := range map[string][]archivetest.Entry{
		"an OCI layout":                       archivetest.Layout(t, app),
		"an OCI layout for several platforms": archivetest.Nested(t, app, foreign),
		"a listing before the blobs":          reversed(archivetest.Layout(t, app)),
		"names that begin with a dot":         dotted(archivetest.Layout(t, app)),
		"docker save":                         archivetest.Docker(t, app),
	} {
		plain := archivetest.Tar(t, entries...)
		for compression, content := range map[string][]byte{
			"": plain, " and gzip": archivetest.Gzip(t, plain), " and zstd": archivetest.Zstd(t, plain),
		} {
			images := read(t, content)
			if len(images) != 1 {
				t.Fatalf("%s%s: %d images, want 1", format, compression, len(images))
			}
			if diff := cmp.Diff(string(app.Manifest(t)), string(images[0].Manifest)); diff != "" {
				t.Errorf("%s%s: image manifest (-want +got):\n%s", format, compression, diff)
			}
			if names := images[0].Names; !slices.Equal(names, []string{app.Name}) {
				t.Errorf("%s%s: names %q, want %q", format, compression, names, app.Name)
			}
			if !slices.Contains(images[0].IDs, digest.FromBytes(app.Config(t))) {
				t.Errorf("%s%s: IDs %v lack the config's digest", format, compression, images[0].IDs)
			}
		}
	}
}

func reversed(entries []archivetest.Entry) []archivetest.Entry {
	slices.Reverse(entries)
	return entries
}

func dotted(entries []archivetest.Entry) []archivetest.Entry {
	for i := range entries {
		entries[i].Name = "./" + entries[i].Name
	}
	return entries
}

func TestRead_KeepsCompressedLayers(t *testing.T) {
	t.Parallel()
	app := archivetest.New(t, "example/app:v1", "lower", "upper")
	for mediaType, packed := range map[string]archivetest.Image{
		v1.MediaTypeImageLayerGzip: app.Pack(t, archivetest.Gzip, v1.MediaTypeImageLayerGzip),
		v1.MediaTypeImageLayerZstd: app.Pack(t, archivetest.Zstd, v1.MediaTypeImageLayerZstd),
	} {
		for format, entries := range map[string][]archivetest.Entry{
			"an OCI layout": archivetest.Layout(t, packed), "docker save": archivetest.Docker(t, packed),
		} {
			images := read(t, archivetest.Tar(t, entries...))
			if len(images) != 1 || string(images[0].Manifest) != string(packed.Manifest(t)) {
				t.Errorf("%s with %s: %d images, want one with unchanged layers", format, mediaType, len(images))
			}
		}
	}
}

func TestRead_ReturnsEveryImage(t *testing.T) {
	t.Parallel()
	shared := strings.Repeat("shared", 50_000)
	one, two := archivetest.New(t, "example/one:v1", shared, "one"), archivetest.New(t, "example/two:v1", shared, "two")
	alias := one
	alias.Name = "example/alias:v1"
	for format, entries := range map[string][]archivetest.Entry{
		"an OCI layout": archivetest.Layout(t, one, two, alias), "docker save": archivetest.Docker(t, one, two, alias),
	} {
		var names [][]string
		for _, image := range read(t, archivetest.Tar(t, entries...)) {
			names = append(names, image.Names)
		}
		if diff := cmp.Diff([][]string{{one.Name, alias.Name}, {two.Name}}, names); diff != "" {
			t.Errorf("%s: names (-want +got):\n%s", format, diff)
		}
	}
}

func TestRead_NeedsNothingOfOtherPlatforms(t *testing.T) {
	t.Parallel()
	app, foreign := archivetest.New(t, "example/app:v1", "file"), archivetest.New(t, "", "other")
	foreign.Architecture = "s390x"
	whole := archivetest.Nested(t, app, foreign)
	for _, missing := range foreign.Blobs(t) {
		entries := slices.DeleteFunc(slices.Clone(whole), func(e archivetest.Entry) bool { return e.Name == missing.Name })
		if images := read(t, archivetest.Tar(t, entries...)); len(images) != 1 || string(images[0].Manifest) != string(app.Manifest(t)) {
			t.Errorf("without %s: %d images, want the one for the nodes", missing.Name, len(images))
		}
	}
}

func TestRead_TakesATagAloneAsNoName(t *testing.T) {
	t.Parallel()
	app := archivetest.New(t, "v1", "file")
	if images := read(t, archivetest.Tar(t, archivetest.Nested(t, app)...)); len(images[0].Names) != 0 {
		t.Errorf("names %q, want none", images[0].Names)
	}
}

func TestRead_AsksTheRegistryForDigestsInNames(t *testing.T) {
	t.Parallel()
	app := archivetest.New(t, "example/app:v1", strings.Repeat("large", 50_000))
	layer := digest.FromBytes(app.Layers[0])
	staging := &sink{}
	content := archivetest.Tar(t, archivetest.Layout(t, app)...)
	if _, err := archive.Read(t.Context(), bytes.NewReader(content), staging); err != nil {
		t.Fatal(err)
	}
	if want := []digest.Digest{layer}; !slices.Equal(staging.known, want) {
		t.Errorf("staged %v, want %v", staging.known, want)
	}
}

func TestRead_ReadsWhatGoContainerregistryWrites(t *testing.T) {
	t.Parallel()
	image, err := random.Image(100_000, 3)
	if err != nil {
		t.Fatal(err)
	}
	settings, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	settings.OS, settings.Architecture = "linux", archivetest.New(t, "").Platform().Architecture
	if image, err = mutate.ConfigFile(image, settings); err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag("example/app:v1")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := tarball.Write(tag, image, &out); err != nil {
		t.Fatal(err)
	}
	images := read(t, out.Bytes())
	if len(images) != 1 || len(images[0].Blobs) != 4 || !slices.Equal(images[0].Names, []string{tag.String()}) {
		t.Errorf("Read = %+v, want one image with a config, 3 layers and the name %s", images, tag)
	}
}

func TestRead_ReturnsErrorsOfTheRegistryAsTheyAre(t *testing.T) {
	t.Parallel()
	app := archivetest.New(t, "example/app:v1", strings.Repeat("large", 50_000))
	content := archivetest.Tar(t, archivetest.Layout(t, app)...)
	_, err := archive.Read(t.Context(), bytes.NewReader(content), refusing{})
	if !strings.Contains(err.Error(), "storing blobs/sha256/") || strings.Contains(err.Error(), "damaged") {
		t.Errorf("Read = %v, want the registry's error", err)
	}
}

// refusing is a Staging that takes nothing.
type refusing struct{}

func (refusing) Add(context.Context, digest.Digest, int64, io.Reader) (*push.Staged, error) {
	return nil, io.ErrClosedPipe
}

// FuzzRead checks that Read neither panics nor returns an image that nodes could not pull.
func FuzzRead(f *testing.F) {
	app := archivetest.New(f, "example/app:v1", "lower")
	for _, entries := range [][]archivetest.Entry{archivetest.Layout(f, app), archivetest.Docker(f, app), archivetest.Nested(f, app)} {
		plain := archivetest.Tar(f, entries...)
		f.Add(plain)
		f.Add(archivetest.Gzip(f, plain))
		f.Add(archivetest.Zstd(f, plain))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		images, err := archive.Read(t.Context(), bytes.NewReader(content), &sink{})
		if err != nil {
			return
		}
		for _, image := range images {
			if len(image.Blobs) < 2 || len(image.Manifest) == 0 {
				t.Errorf("%s has %d blobs and an image manifest of %d bytes", image.Entry, len(image.Blobs), len(image.Manifest))
			}
		}
	})
}
