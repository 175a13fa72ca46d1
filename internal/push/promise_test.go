package push_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/docker/dockertest"
	"kind-local-registry/internal/promise"
	"kind-local-registry/internal/push"
)

// sizesOf returns the sizes of the image's blobs.
func sizesOf(image dockertest.Image) map[digest.Digest]int64 {
	sizes := map[digest.Digest]int64{image.ID(): image.Config.Size}
	for _, layer := range image.Layers {
		sizes[layer.Digest] = layer.Size
	}
	return sizes
}

// promised returns what a pusher knows of a promise before making it.
func promised(image dockertest.Image) promise.Promise {
	return promise.Promise{Name: "a/b:1", ImageID: image.ID()}
}

// mustPromise promises the image with those contents.
func (e env) mustPromise(t *testing.T, contents push.Contents, image dockertest.Image) promise.Promise {
	t.Helper()
	made, err := e.registry.Promise(t.Context(), target(), contents, sizesOf(image), promised(image))
	if err != nil {
		t.Fatalf("Promise: %v", err)
	}
	return made
}

// wantPromises fails the test unless the registry has these promises.
func (e env) wantPromises(t *testing.T, when string, want ...promise.Promise) {
	t.Helper()
	got, err := e.registry.Promises(t.Context())
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); err != nil || diff != "" {
		t.Errorf("Promises %s: error %v, (-want +got):\n%s", when, err, diff)
	}
}

func TestPromise_HasTheDigestOfTheLaterPush(t *testing.T) {
	t.Parallel()
	one, two := dockertest.Layer("one"), dockertest.Noise(100_000, 1)
	for name, layers := range map[string][]dockertest.Blob{
		"two layers": {one, two}, "a layer twice": {one, two, one}, "no layers": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t)
			image := dockertest.NewImage("a", layers...)
			contents := wanted(image, files(append(layers, image.Config)))
			made := e.mustPromise(t, contents, image)
			want := promise.Promise{
				Name: "a/b:1", ImageID: image.ID(), Repository: "a/b", Manifest: made.Manifest, Config: content(t, image.Config),
			}
			if diff := cmp.Diff(want, made); diff != "" {
				t.Errorf("Promise (-want +got):\n%s", diff)
			}
			e.wantPromises(t, "before the push", made)
			result, err := e.registry.Push(t.Context(), target(), contents, push.Options{})
			if err != nil {
				t.Fatalf("Push: %v", err)
			}
			if result.Digest != made.Digest() {
				t.Errorf("Push = %s, want the promised %s", result.Digest, made.Digest())
			}
			if result.Present > 0 {
				t.Errorf("%d blobs of a promised image were present, want none", result.Present)
			}
			e.wantPromises(t, "after the push")
		})
	}
}

// content returns the content of a blob.
func content(t *testing.T, blob dockertest.Blob) []byte {
	t.Helper()
	read, err := io.ReadAll(blob.Open())
	if err != nil {
		t.Fatal(err)
	}
	return read
}

func TestPromise_KeepsTheImagesOwnManifest(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	image := dockertest.NewImage("a", dockertest.Layer("one"))
	contents := wanted(image, files(append(image.Layers, image.Config)))
	manifest, err := json.MarshalIndent(map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
		"config": map[string]any{"mediaType": "application/vnd.docker.container.image.v1+json", "digest": image.ID(), "size": image.Config.Size},
		"layers": []any{map[string]any{
			"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "digest": image.Layers[0].Digest, "size": image.Layers[0].Size,
		}},
	}, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	contents.Manifest = manifest
	made, err := e.registry.Promise(t.Context(), target(), contents, nil, promised(image))
	if err != nil {
		t.Fatalf("Promise: %v", err)
	}
	if diff := cmp.Diff(string(manifest), string(made.Manifest)); diff != "" {
		t.Errorf("manifest (-want +got):\n%s", diff)
	}
	result, err := e.registry.Push(t.Context(), target(), contents, push.Options{})
	if err != nil || result.Digest != digest.FromBytes(manifest) {
		t.Errorf("Push = %s, %v, want %s", result.Digest, err, digest.FromBytes(manifest))
	}
}

func TestPromise_IsNotPresentBeforeThePush(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	image := dockertest.NewImage("a", dockertest.Layer("one"))
	made := e.mustPromise(t, wanted(image, files{image.Config}), image)
	e.wantNothingVisible(t)
	presence, err := e.registry.Presence(t.Context(), push.Target{Repository: "a/b", Reference: made.Digest().String()})
	if err != nil || presence.Complete || presence.Digest != made.Digest() {
		t.Errorf("Presence by digest = %+v, %v, want %s, not complete", presence, err, made.Digest())
	}
}

func TestPromise_ReadsTheConfigFromTheFirstSourceThatHasIt(t *testing.T) {
	t.Parallel()
	image := dockertest.NewImage("a", dockertest.Layer("one"))
	corrupt := image.Config
	corrupt.Open = dockertest.Noise(image.Config.Size, 1).Open
	for name, test := range map[string]struct {
		sources []push.Source
		want    bool
	}{
		"only the second has it":            {[]push.Source{files{}, files{image.Config}}, true},
		"the first has other content":       {[]push.Source{files{corrupt}, files{image.Config}}, true},
		"the first fails":                   {[]push.Source{failing{}, files{image.Config}}, true},
		"none has it":                       {[]push.Source{files{}, files(image.Layers)}, false},
		"all have other content":            {[]push.Source{files{corrupt}, files{corrupt}}, false},
		"the last fails and none before it": {[]push.Source{files{corrupt}, failing{}}, false},
		"no sources":                        {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t)
			made, err := e.registry.Promise(t.Context(), target(), wanted(image, test.sources...), sizesOf(image), promised(image))
			if (err == nil) != test.want {
				t.Fatalf("Promise = %v, want success: %t", err, test.want)
			}
			if !test.want {
				e.wantPromises(t, "after an error")
				return
			}
			e.wantPromises(t, "after success", made)
		})
	}
}

// failing is a source that fails.
type failing struct{}

// Name implements push.Source.
func (failing) Name() string { return "failing" }

// Blobs implements push.Source.
func (failing) Blobs(context.Context, []digest.Digest, func(digest.Digest, int64, io.Reader) error) error {
	return io.ErrUnexpectedEOF
}

func TestPromise_NeedsEverySize(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	image := dockertest.NewImage("a", dockertest.Layer("one"), dockertest.Layer("two"))
	for _, missing := range wanted(image).Layers {
		sizes := sizesOf(image)
		delete(sizes, missing)
		if _, err := e.registry.Promise(t.Context(), target(), wanted(image, files{image.Config}), sizes, promised(image)); err == nil {
			t.Errorf("Promise without the size of layer %s: no error", missing)
		}
	}
	e.wantPromises(t, "without sizes")
}

func TestPromise_IsRefusedForInvalidImages(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	image := dockertest.NewImage("a", dockertest.Layer("one"))
	contents := wanted(image, files{image.Config})
	for name, promise := range map[string]func() error{
		"a repository that is a path": func() error {
			_, err := e.registry.Promise(t.Context(), push.Target{Repository: "../a"}, contents, sizesOf(image), promised(image))
			return err
		},
		"no image ID": func() error {
			_, err := e.registry.Promise(t.Context(), target(), contents, sizesOf(image), promise.Promise{Name: "a/b:1"})
			return err
		},
		"a manifest of another config": func() error {
			other := contents
			other.Manifest = []byte(`{"schemaVersion":2}`)
			_, err := e.registry.Promise(t.Context(), target(), other, nil, promised(image))
			return err
		},
	} {
		if err := promise(); err == nil {
			t.Errorf("Promise with %s: no error", name)
		}
	}
	e.wantPromises(t, "of invalid images")
}

func TestWithdraw_EndsOnlyItsPromise(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	var made []promise.Promise
	for _, label := range []string{"one", "two"} {
		image := dockertest.NewImage(label, dockertest.Layer(label))
		contents := wanted(image, files{image.Config})
		made = append(made, e.mustPromise(t, contents, image))
		e.mustPromise(t, contents, image) // has no effect
	}
	e.wantPromises(t, "at first", made...)
	if err := e.registry.Withdraw(t.Context(), "another", made[0].Digest()); err != nil {
		t.Errorf("Withdraw in another repository = %v, want nil", err)
	}
	e.wantPromises(t, "after Withdraw in another repository", made...)
	for range 2 {
		if err := e.registry.Withdraw(t.Context(), "a/b", made[0].Digest()); err != nil {
			t.Errorf("Withdraw = %v, want nil", err)
		}
		e.wantPromises(t, "after Withdraw", made[1])
	}
}

func TestPromise_FailsInARegistryWithoutPromises(t *testing.T) {
	t.Parallel()
	registry := serving(t, nil) // answers 404
	image := dockertest.NewImage("a", dockertest.Layer("one"))
	_, promising := registry.Promise(t.Context(), target(), wanted(image, files{image.Config}), sizesOf(image), promised(image))
	_, listing := registry.Promises(t.Context())
	withdrawing := registry.Withdraw(t.Context(), "a/b", image.ID())
	for name, err := range map[string]error{"Promise": promising, "Promises": listing, "Withdraw": withdrawing} {
		wantStatusError(t, name, err, http.StatusNotFound)
	}
}

// wantStatusError fails the test unless err is a *push.StatusError with that code.
func wantStatusError(t *testing.T, what string, err error, code int) {
	t.Helper()
	if status, ok := errors.AsType[*push.StatusError](err); !ok || status.Code != code {
		t.Errorf("%s = %v, want a StatusError with code %d", what, err, code)
	}
}
