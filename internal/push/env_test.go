package push_test

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"kind-local-registry/internal/docker"
	"kind-local-registry/internal/docker/dockertest"
	"kind-local-registry/internal/push"
	"kind-local-registry/internal/registry/registrytest"
)

// env contains a running fake daemon, and a running registry that stores its data in root.
type env struct {
	engine   *dockertest.Engine
	docker   *docker.Client
	registry *push.Registry
	url      string
	root     string
}

// newEnv starts the daemon and the registry. Both stop when the test ends.
func newEnv(t *testing.T) env {
	t.Helper()
	root := t.TempDir()
	e := env{engine: dockertest.NewEngine(t), root: root, url: registrytest.Start(t, root)}
	var err error
	if e.docker, err = docker.New(e.engine.Host()); err != nil {
		t.Fatalf("docker.New: %v", err)
	}
	t.Cleanup(func() { _ = e.docker.Close() })
	if e.registry, err = push.NewRegistry(e.url); err != nil {
		t.Fatalf("NewRegistry: %v", err)
	}
	t.Cleanup(e.registry.Close)
	return e
}

// target returns the target that all tests push to.
func target() push.Target { return push.Target{Repository: "a/b", Reference: "1"} }

// wanted returns the contents to push for an image from dockertest.
func wanted(image dockertest.Image, sources ...push.Source) push.Contents {
	want := push.Contents{Config: image.ID(), Size: image.Size(), Sources: sources}
	for _, layer := range image.Layers {
		want.Layers = append(want.Layers, layer.Digest)
	}
	return want
}

// push tags the image in the daemon and pushes it.
func (e env) push(t *testing.T, image dockertest.Image) (push.Result, error) {
	t.Helper()
	return e.registry.Push(t.Context(), target(), wanted(image, e.sources(t, image)...), push.Options{})
}

// sources tags the image in the daemon, and returns the daemon's sources for the image.
func (e env) sources(t *testing.T, image dockertest.Image) []push.Source {
	t.Helper()
	e.engine.Tag("a/b:1", image)
	found, err := e.docker.Image(t.Context(), "a/b:1")
	if err != nil {
		t.Fatalf("Image: %v", err)
	}
	contents, err := e.docker.Contents(t.Context(), found)
	if err != nil {
		t.Fatalf("Contents: %v", err)
	}
	return contents.Sources
}

// mustPush pushes the image and fails the test if the push fails.
func (e env) mustPush(t *testing.T, image dockertest.Image) push.Result {
	t.Helper()
	result, err := e.push(t, image)
	if err != nil {
		t.Fatalf("Push: %v", err)
	}
	return result
}

// pull pulls the image at the target, as a node would.
func (e env) pull(t *testing.T) (v1.Image, error) {
	t.Helper()
	reference, err := name.ParseReference(strings.TrimPrefix(e.url, "http://") + "/a/b:1")
	if err != nil {
		t.Fatalf("ParseReference: %v", err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return remote.Image(reference, remote.WithContext(t.Context()), remote.WithTransport(transport))
}

// wantNothingVisible fails the test if the registry serves anything at the target.
func (e env) wantNothingVisible(t *testing.T) {
	t.Helper()
	presence, err := e.registry.Presence(t.Context(), target())
	if err != nil {
		t.Fatalf("Presence: %v", err)
	}
	if presence.Digest != "" {
		t.Errorf("Presence = %+v after a failed push, want nothing", presence)
	}
}

// config returns the digest of the image's config.
func config(t *testing.T, image v1.Image) digest.Digest {
	t.Helper()
	name, err := image.ConfigName()
	if err != nil {
		t.Fatalf("ConfigName: %v", err)
	}
	return digest.Digest(name.String())
}

// wantLayers fails the test unless the image has exactly these layers, in this order, and each layer matches its digest.
func wantLayers(t *testing.T, image v1.Image, want []digest.Digest) {
	t.Helper()
	layers, err := image.Layers()
	if err != nil {
		t.Fatalf("Layers: %v", err)
	}
	got := make([]digest.Digest, 0, len(layers))
	for _, layer := range layers {
		content, err := layer.Compressed() // the layer as it is stored
		if err != nil {
			t.Fatalf("pulling a layer: %v", err)
		}
		d, err := digest.FromReader(content)
		if err != nil {
			t.Fatalf("reading a layer: %v", err)
		}
		got = append(got, d)
		_ = content.Close()
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("layers (-want +got):\n%s", diff)
	}
}

// files is a source that yields all blobs concurrently.
type files []dockertest.Blob

// Name implements push.Source.
func (files) Name() string { return "files" }

// Blobs implements push.Source. It yields each requested blob in its own goroutine.
func (f files) Blobs(
	_ context.Context, want []digest.Digest, yield func(d digest.Digest, size int64, blob io.Reader) error,
) error {
	var group errgroup.Group
	for _, blob := range f {
		if slices.Contains(want, blob.Digest) {
			group.Go(func() error { return yield(blob.Digest, blob.Size, blob.Open()) })
		}
	}
	return group.Wait()
}
