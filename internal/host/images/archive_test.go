package images

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"kind-local-registry/internal/archive/archivetest"
	"kind-local-registry/internal/push"
	"kind-local-registry/internal/rewrite"
)

const appName = "example/app:v1"

// large is the content of a layer that does not stay in memory.
var large = strings.Repeat("large", 50_000) //nolint:gochecknoglobals // a constant

func TestArchivePusher_PushesImagesThatCanBePulled(t *testing.T) {
	t.Parallel()
	app := archivetest.New(t, appName, "small", large)
	packed := app.Pack(t, archivetest.Gzip, v1.MediaTypeImageLayerGzip)
	foreign := archivetest.New(t, appName, large)
	foreign.Architecture = "s390x"
	for format, content := range map[string][]byte{
		"docker save":            archivetest.Tar(t, archivetest.Docker(t, app)...),
		"an OCI layout":          archivetest.Gzip(t, archivetest.Tar(t, archivetest.Layout(t, packed)...)),
		"for several platforms":  archivetest.Zstd(t, archivetest.Tar(t, archivetest.Nested(t, packed, foreign)...)),
		"docker save, with gzip": archivetest.Tar(t, archivetest.Docker(t, packed)...),
	} {
		w := newArchiveWorld(t)
		pushed := w.mustPush(t, "", content)
		reference, err := name.ParseReference(w.url + "/" + appName)
		if err != nil {
			t.Fatal(err)
		}
		if layers := pull(t, reference); layers != 2 {
			t.Errorf("%s: pulled %d layers, want 2", format, layers)
		}
		found := w.presence(t, "example/app", "v1")
		if !found.Complete || !found.Archive || found.Digest != pushed.Result.Digest {
			t.Errorf("%s: the registry has %+v, want %s, complete and from an archive", format, found, pushed.Result.Digest)
		}
		if want := registryHost + "/" + appName + "@" + found.Digest.String(); pushed.Rewritten != want || pushed.Image != appName {
			t.Errorf("%s: pushed %s as %s, want %s as %s", format, pushed.Image, pushed.Rewritten, appName, want)
		}
		for _, file := range w.files(t) {
			if strings.Contains(file, "_uploads/") {
				t.Errorf("%s: the upload %s is left", format, file)
			}
		}
	}
}

func TestArchivePusher_UploadsOnlyWhatIsMissing(t *testing.T) {
	t.Parallel()
	w := newArchiveWorld(t)
	first := w.mustPush(t, "", archivetest.Tar(t, archivetest.Layout(t, archivetest.New(t, appName, large, "1"))...))
	second := w.mustPush(t, "", archivetest.Tar(t, archivetest.Layout(t, archivetest.New(t, "example/other:v1", large, "2"))...))
	if first.Result.Uploaded != 3 || first.Result.Present != 0 {
		t.Errorf("first push = %+v, want 3 blobs uploaded", first.Result)
	}
	if second.Result.Uploaded != 2 || second.Result.Present != 1 {
		t.Errorf("second push = %+v, want a config and a layer uploaded, and the large layer present", second.Result)
	}
}

func TestArchivePusher_PushesEveryName(t *testing.T) {
	t.Parallel()
	w := newArchiveWorld(t)
	one, two := archivetest.New(t, "example/one:v1", large), archivetest.New(t, "localhost:5001/two", large, "two")
	pushed, err := w.push(t, "", archivetest.Tar(t, archivetest.Docker(t, one, two)...))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, each := range pushed {
		names = append(names, each.Image)
		if each.Err != nil {
			t.Errorf("%s: %v", each.Image, each.Err)
		}
	}
	if diff := cmp.Diff([]string{"example/one:v1", "localhost:5001/two:latest"}, names); diff != "" {
		t.Errorf("pushed (-want +got):\n%s", diff)
	}
	if !w.presence(t, "two", "latest").Complete || !w.presence(t, "example/one", "v1").Complete {
		t.Error("an image is not complete")
	}
}

func TestArchivePusher_NamesTheOnlyImage(t *testing.T) {
	t.Parallel()
	w := newArchiveWorld(t)
	if pushed := w.mustPush(t, "renamed:v2", archivetest.Tar(t, archivetest.Layout(t, archivetest.New(t, "", large))...)); pushed.Image != "renamed:v2" {
		t.Errorf("pushed %s, want renamed:v2", pushed.Image)
	}
	if found := w.presence(t, "renamed", "v2"); !found.Complete {
		t.Errorf("the registry has %+v under renamed:v2", found)
	}
}

func TestArchivePusher_LosesTagToAnotherPush(t *testing.T) {
	t.Parallel()
	w := newArchiveWorld(t)
	w.mustPush(t, "", archivetest.Tar(t, archivetest.Layout(t, archivetest.New(t, appName, large))...))
	rebuilt := archivetest.New(t, appName, "rebuilt")
	target := push.Target{Repository: "example/app", Reference: "v1"}
	for _, blob := range [][]byte{rebuilt.Config(t), rebuilt.Layers[0]} {
		if _, err := w.Registry.Upload(t.Context(), target.Repository, blob); err != nil {
			t.Fatal(err)
		}
	}
	contents := push.Contents{Config: digest.FromBytes(rebuilt.Config(t)), Layers: []digest.Digest{digest.FromBytes(rebuilt.Layers[0])}}
	if _, err := w.Registry.Push(t.Context(), target, contents, push.Options{}); err != nil {
		t.Fatal(err)
	}
	if found := w.presence(t, "example/app", "v1"); !found.Complete || found.Archive {
		t.Errorf("the registry has %+v, want the rebuilt image, which is not from an archive", found)
	}
}

func TestArchivePusher_RefusesWhatPodsWouldNotRun(t *testing.T) {
	t.Parallel()
	app := archivetest.New(t, appName, large)
	content := archivetest.Tar(t, archivetest.Docker(t, app)...)
	other := digest.FromString("another build").String()
	for want, change := range map[string]func(*archiveWorld){
		"Docker has another image with the name example/app:v1, which pods run; remove that one with docker rmi example/app:v1": func(w *archiveWorld) {
			w.HostID = func(context.Context, string) (string, error) { return other, nil }
		},
		"app.tar: ExcludedByRule: example/app:v1: images.exclude[0]; change the rules": func(w *archiveWorld) {
			w.Excluded = func(string) string { return "images.exclude[0]" }
		},
	} {
		w := newArchiveWorld(t)
		change(w)
		if _, err := w.push(t, "", content); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Push = %v, want %q", err, want)
		}
		w.wantEmpty(t)
	}
	w := newArchiveWorld(t)
	w.HostID = func(context.Context, string) (string, error) { return digest.FromBytes(app.Config(t)).String(), nil }
	w.mustPush(t, "", content) // the host has the same image
}

func TestArchivePusher_LeavesNothingWhenInterrupted(t *testing.T) {
	t.Parallel()
	w := newArchiveWorld(t)
	content := archivetest.Tar(t, archivetest.Docker(t, archivetest.New(t, appName, large, large+"2"))...)
	for _, at := range []int{300_000, 400_000} { // in the first and in the second layer
		ctx, cancel := context.WithCancel(t.Context())
		reader := io.MultiReader(bytes.NewReader(content[:at]), readFunc(func([]byte) (int, error) {
			cancel()
			<-ctx.Done()
			return 0, ctx.Err()
		}))
		_, err := w.Push(ctx, Archive{Name: "app.tar", Content: reader}, func(push.Progress) {})
		if !errors.Is(err, ErrCancelled) {
			t.Errorf("Push = %v, want ErrCancelled", err)
		}
		w.wantEmpty(t)
	}
}

// readFunc is a reader.
type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

func TestArchivePusher_RefusesOtherRegistries(t *testing.T) {
	t.Parallel()
	err := Archive{Name: "app.tar"}.explain(t.Context(), push.ErrNoInventory)
	if !strings.Contains(err.Error(), "docker load") || rewrite.ReasonOf(err) != "" {
		t.Errorf("explain = %v", err)
	}
}

func TestArchive_ReportsProgressOfReading(t *testing.T) {
	t.Parallel()
	w := newArchiveWorld(t)
	content := archivetest.Tar(t, archivetest.Docker(t, archivetest.New(t, appName, large))...)
	var last push.Progress
	from := Archive{Name: "app.tar", Content: bytes.NewReader(content), Size: int64(len(content))}
	if _, err := w.Push(t.Context(), from, func(now push.Progress) { last = now }); err != nil {
		t.Fatal(err)
	}
	if want := (push.Progress{Bytes: from.Size, Total: from.Size}); last != want {
		t.Errorf("last progress = %+v, want %+v", last, want)
	}
}
