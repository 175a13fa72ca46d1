package push_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/docker/dockertest"
	"kind-local-registry/internal/push"
)

func TestPush_MakesTheImagePullable(t *testing.T) {
	t.Parallel()
	one, two := dockertest.Layer("one"), dockertest.Layer("two")
	for name, layers := range map[string][]dockertest.Blob{
		"two layers":    {one, two},
		"a layer twice": {one, two, one},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t)
			image := dockertest.NewImage("a", layers...)
			result := e.mustPush(t, image)
			pulled, err := e.pull(t)
			if err != nil {
				t.Fatalf("pulling: %v", err)
			}
			wantLayers(t, pulled, wanted(image).Layers)
			if got := config(t, pulled); got != image.ID() {
				t.Errorf("the pulled image is %s, want %s", got, image.ID())
			}
			if d, err := pulled.Digest(); err != nil || d.String() != result.Digest.String() {
				t.Errorf("the pulled manifest is %s (error %v), want %s", d, err, result.Digest)
			}
		})
	}
}

func TestPush_UploadsUncompressedLayersByDiffID(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	layer := dockertest.Layer("one")
	e.mustPush(t, dockertest.NewImage("a", layer))
	pulled, err := e.pull(t)
	if err != nil {
		t.Fatalf("pulling: %v", err)
	}
	layers, err := pulled.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("Layers = %d (error %v), want 1", len(layers), err)
	}
	mediaType, err := layers[0].MediaType()
	if err != nil || mediaType != types.OCIUncompressedLayer {
		t.Errorf("media type %q (error %v), want %q", mediaType, err, types.OCIUncompressedLayer)
	}
	if d, err := layers[0].Digest(); err != nil || d.String() != layer.Digest.String() {
		t.Errorf("digest %s (error %v), want %s", d, err, layer.Digest)
	}
}

func TestPush_UploadsOnlyMissingBlobs(t *testing.T) {
	t.Parallel()
	base, app, rebuilt := dockertest.Noise(300_000, 1), dockertest.Noise(20_000, 2), dockertest.Noise(20_001, 3)
	first := dockertest.NewImage("a", base, app)
	again := dockertest.NewImage("a", base, rebuilt)
	e := newEnv(t)
	for _, step := range []struct {
		name  string
		image dockertest.Image
		want  push.Result
		saves int
	}{
		{"the first push uploads all blobs", first, push.Result{Bytes: first.Size() + first.Config.Size, Uploaded: 3}, 1},
		{"the second uploads and saves nothing", first, push.Result{Present: 3, PresentBytes: first.Size() + first.Config.Size}, 1},
		{
			"a rebuild of one layer uploads that layer and the config",
			again,
			push.Result{Bytes: rebuilt.Size + again.Config.Size, Uploaded: 2, Present: 1, PresentBytes: base.Size},
			2,
		},
		{"going back to the first build uploads nothing", first, push.Result{Present: 3, PresentBytes: first.Size() + first.Config.Size}, 2},
	} {
		got := e.mustPush(t, step.image)
		got.Digest = ""
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
		if saves := e.engine.Saves(); saves != step.saves {
			t.Errorf("%s: %d saves so far, want %d", step.name, saves, step.saves)
		}
		pulled, err := e.pull(t)
		if err != nil {
			t.Fatalf("%s: pulling: %v", step.name, err)
		}
		if got := config(t, pulled); got != step.image.ID() {
			t.Errorf("%s: the tag serves %s, want %s", step.name, got, step.image.ID())
		}
	}
}

func TestPush_AcceptsConcurrentBlobs(t *testing.T) {
	t.Parallel()
	for name, image := range map[string]dockertest.Image{
		"two layers": dockertest.NewImage("a", dockertest.Noise(90_000, 1), dockertest.Layer("x")),
		"no layers":  dockertest.NewImage("b"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t)
			source := files(append(image.Layers, image.Config))
			if _, err := e.registry.Push(t.Context(), target(), wanted(image, source), push.Options{}); err != nil {
				t.Fatalf("Push: %v", err)
			}
			pulled, err := e.pull(t)
			if err != nil {
				t.Fatalf("pulling: %v", err)
			}
			wantLayers(t, pulled, wanted(image).Layers)
		})
	}
}

func TestPush_FailsWhenTheSourceOmitsABlob(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	image := dockertest.NewImage("a", dockertest.Layer("one"))
	source := files{image.Config}
	if _, err := e.registry.Push(t.Context(), target(), wanted(image, source), push.Options{}); err == nil {
		t.Error("Push from a source without the layer: no error")
	}
	e.wantNothingVisible(t)
}

func TestPush_GivesTheSameDigestInEveryRegistry(t *testing.T) {
	t.Parallel()
	image := dockertest.NewImage("a", dockertest.Layer("one"), dockertest.Layer("two"))
	if one, two := newEnv(t).mustPush(t, image).Digest, newEnv(t).mustPush(t, image).Digest; one != two {
		t.Errorf("the image is %s in one registry and %s in another", one, two)
	}
}

func TestPush_ReportsProgressFromZeroToTotal(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	image := dockertest.NewImage("a", dockertest.Noise(5_000_000, 1))
	var reports []push.Progress
	options := push.Options{Progress: func(p push.Progress) { reports = append(reports, p) }}
	result, err := e.registry.Push(t.Context(), target(), wanted(image, e.sources(t, image)...), options)
	if err != nil {
		t.Fatalf("Push: %v", err)
	}
	first, last := reports[0], reports[len(reports)-1]
	if want := (push.Progress{Total: image.Size()}); first != want {
		t.Errorf("first report %+v, want %+v", first, want)
	}
	if want := (push.Progress{Bytes: result.Bytes, Total: result.Bytes}); last != want {
		t.Errorf("last report %+v, want %+v", last, want)
	}
}

func TestPush_ReportsPresentBytes(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	base := dockertest.Noise(5_000_000, 1)
	e.mustPush(t, dockertest.NewImage("a", base))
	rebuilt := dockertest.NewImage("a", base, dockertest.Noise(1_000_000, 2))
	var last push.Progress
	options := push.Options{Progress: func(p push.Progress) { last = p }}
	result, err := e.registry.Push(t.Context(), target(), wanted(rebuilt, e.sources(t, rebuilt)...), options)
	if err != nil {
		t.Fatalf("Push: %v", err)
	}
	if want := (push.Progress{Bytes: result.Bytes, Total: result.Bytes, Present: base.Size}); last != want {
		t.Errorf("last report %+v, want %+v", last, want)
	}
}

func TestPresence_ReportsTheBuildOfATag(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	image := dockertest.NewImage("a", dockertest.Layer("one"))
	result := e.mustPush(t, image)
	want := push.Presence{Digest: result.Digest, Complete: true, Sizes: map[digest.Digest]int64{
		image.ID(): image.Config.Size, image.Layers[0].Digest: image.Layers[0].Size,
	}}
	for _, reference := range []string{"1", result.Digest.String()} {
		got, err := e.registry.Presence(t.Context(), push.Target{Repository: "a/b", Reference: reference})
		if err != nil {
			t.Fatalf("Presence(%q): %v", reference, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Presence(%q) (-want +got):\n%s", reference, diff)
		}
	}
}
