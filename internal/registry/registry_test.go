package registry_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"kind-local-registry/internal/registry"
	"kind-local-registry/internal/registry/registrytest"
)

// start starts a registry with the given data directory and returns its host.
func start(t *testing.T, root string) string {
	t.Helper()
	return strings.TrimPrefix(registrytest.Start(t, root), "http://")
}

// options returns the options for a request. The transport's connections end with the test.
func options(t *testing.T) []remote.Option {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return []remote.Option{remote.WithContext(t.Context()), remote.WithTransport(transport)}
}

// parse parses a reference and fails the test if it is invalid.
func parse(t *testing.T, text string) name.Reference {
	t.Helper()
	reference, err := name.ParseReference(text)
	if err != nil {
		t.Fatalf("ParseReference(%q): %v", text, err)
	}
	return reference
}

func TestNew_ServesPushedImagesAfterRestart(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	image, err := random.Image(10_000, 3)
	if err != nil {
		t.Fatalf("making an image: %v", err)
	}
	if err := remote.Write(parse(t, start(t, root)+"/a/b:1"), image, options(t)...); err != nil {
		t.Fatalf("pushing: %v", err)
	}
	pulled, err := remote.Image(parse(t, start(t, root)+"/a/b:1"), options(t)...)
	if err != nil {
		t.Fatalf("pulling: %v", err)
	}
	if err := validate.Image(pulled); err != nil {
		t.Errorf("validating the pulled image: %v", err)
	}
	if _, err := os.Stat(filepath.Join(root, "docker/registry/v2/repositories/a/b/_manifests")); err != nil {
		t.Errorf("looking for registry:2's layout: %v", err)
	}
}

func TestNew_ReturnsErrorIfRootIsNoDirectory(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, root := range []string{"", file, file + "/below"} {
		if _, err := registry.New(t.Context(), registry.Config{Root: root}); err == nil {
			t.Errorf("New with root %q: no error", root)
		}
	}
}
