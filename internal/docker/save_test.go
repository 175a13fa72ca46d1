package docker_test

import (
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/docker"
	"kind-local-registry/internal/docker/dockertest"
	"kind-local-registry/internal/push"
	"kind-local-registry/internal/rewrite"
)

func TestBlobs_YieldsOnlyWantedBlobs(t *testing.T) {
	t.Parallel()
	engine := dockertest.NewEngine(t)
	wanted, unwanted := dockertest.Noise(100_000, 1), dockertest.Noise(100_000, 2)
	image := dockertest.NewImage("a", unwanted, wanted, wanted)
	engine.Tag("x:1", image)
	got := map[digest.Digest]int64{}
	err := saveOf(t, engine).Blobs(t.Context(), []digest.Digest{image.ID(), wanted.Digest},
		func(d digest.Digest, size int64, blob io.Reader) error {
			got[d] += size
			if read, err := digest.FromReader(blob); err != nil || read != d {
				t.Errorf("blob %s reads as %s (error %v)", d, read, err)
			}
			return nil
		})
	if err != nil {
		t.Fatalf("Blobs: %v", err)
	}
	want := map[digest.Digest]int64{image.ID(): image.Config.Size, wanted.Digest: wanted.Size}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("blobs (-want +got):\n%s", diff)
	}
}

func TestBlobs_ReadsTheLayoutOfDockerBefore25(t *testing.T) {
	t.Parallel()
	engine := dockertest.NewEngine(t)
	engine.SaveAsBefore25()
	one, two := dockertest.Noise(100_000, 1), dockertest.Noise(50_000, 2)
	image := dockertest.NewImage("a", one, two, one)
	engine.Tag("x:1", image)
	got := map[digest.Digest]int64{}
	want := map[digest.Digest]int64{image.ID(): image.Config.Size, one.Digest: one.Size, two.Digest: two.Size}
	err := saveOf(t, engine).Blobs(t.Context(), slices.Collect(maps.Keys(want)),
		func(d digest.Digest, size int64, blob io.Reader) error {
			got[d] += size
			if read, err := digest.FromReader(blob); err != nil || read != d {
				t.Errorf("blob %s reads as %s (error %v)", d, read, err)
			}
			return nil
		})
	if err != nil {
		t.Fatalf("Blobs: %v", err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("blobs (-want +got):\n%s", diff)
	}
	if saves := engine.Saves(); saves != 2 {
		t.Errorf("%d saves, want 2: one to map files to layers, one to read them", saves)
	}
}

func TestBlobs_ReturnsTheErrorOfYieldUnwrapped(t *testing.T) {
	t.Parallel()
	engine := dockertest.NewEngine(t)
	image := dockertest.NewImage("a", dockertest.Noise(10_000_000, 1))
	engine.Tag("x:1", image)
	want := errors.New("the disk is full")
	err := saveOf(t, engine).Blobs(t.Context(), []digest.Digest{image.ID()},
		func(digest.Digest, int64, io.Reader) error { return want })
	if err != want { //nolint:errorlint // it must not be wrapped
		t.Errorf("Blobs = %v, want %v", err, want)
	}
}

func TestBlobs_FailsWhenTheStreamBreaksOff(t *testing.T) {
	t.Parallel()
	for name, bytes := range map[string]int64{
		"within a blob": 50_000, "between two blobs": 1024, "before the first byte": 1,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			engine := dockertest.NewEngine(t)
			layer := dockertest.Noise(100_000, 1)
			image := dockertest.NewImage("a", layer)
			engine.Tag("x:1", image)
			engine.Truncate(bytes)
			err := saveOf(t, engine).Blobs(t.Context(), []digest.Digest{layer.Digest}, discard)
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("Blobs = %v, want %v", err, io.ErrUnexpectedEOF)
			}
		})
	}
}

func TestBlobs_RefusesABlobThatTheDaemonOmits(t *testing.T) {
	t.Parallel()
	engine := dockertest.NewEngine(t)
	image := dockertest.NewImage("a", dockertest.Layer("app"))
	engine.Tag("x:1", image)
	err := saveOf(t, engine).
		Blobs(t.Context(), []digest.Digest{digest.FromString("another blob")}, discard)
	wantRefusal(t, err, rewrite.Unservable)
}

func TestBlobs_RefusesLayersWhoseFilesHaveChanged(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]rewrite.Reason{
		"file integrity checksum failed for etc/passwd": rewrite.Unservable, // Docker 26 with overlay2
		"could not verify layer data for: sha256:0123":  rewrite.Unservable,
		"no space left on device":                       "",
	} {
		engine := dockertest.NewEngine(t)
		layer := dockertest.Layer("app")
		engine.Tag("x:1", dockertest.NewImage("a", layer))
		engine.FailSaves(message)
		err := saveOf(t, engine).Blobs(t.Context(), []digest.Digest{layer.Digest}, discard)
		if got := rewrite.ReasonOf(err); err == nil || got != want || !strings.Contains(err.Error(), message) {
			t.Errorf("Blobs = %v, want reason %q and the message %s", err, want, message)
		}
	}
}

// saveOf returns the last source of the daemon's image x:1.
func saveOf(t *testing.T, engine *dockertest.Engine) push.Source {
	t.Helper()
	sources := contentsOf(t, newClient(t, engine)).Sources
	last := sources[len(sources)-1]
	if last.Name() != "save" {
		t.Fatalf("the last source is %s, want save", last.Name())
	}
	return last
}

// contentsOf returns the contents of the daemon's image x:1.
func contentsOf(t *testing.T, client *docker.Client) push.Contents {
	t.Helper()
	image, err := client.Image(t.Context(), "x:1")
	if err != nil {
		t.Fatalf("Image: %v", err)
	}
	contents, err := client.Contents(t.Context(), image)
	if err != nil {
		t.Fatalf("Contents: %v", err)
	}
	return contents
}

// discard reads a blob to its end.
func discard(_ digest.Digest, _ int64, blob io.Reader) error {
	_, err := io.Copy(io.Discard, blob)
	return err
}
