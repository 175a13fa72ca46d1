// Package registrytest runs the real registry in the process of a test.
package registrytest

import (
	"context"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"kind-local-registry/internal/httpserver"
	"kind-local-registry/internal/registry"
)

// Start starts a registry with the data directory root and returns the registry's URL. The registry stops when the test ends.
func Start(t testing.TB, root string) string {
	t.Helper()
	handler, err := registry.New(t.Context(), registry.Config{Root: root})
	if err != nil {
		t.Fatalf("starting the registry: %v", err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// StartWithSocket is like Start, but also serves on a Unix socket. It returns the registry's URL and the socket's address, both
// in the form that push.NewRegistry expects.
func StartWithSocket(t testing.TB, root string) (url, socket string) {
	t.Helper()
	handler, err := registry.New(t.Context(), registry.Config{Root: root})
	if err != nil {
		t.Fatalf("starting the registry: %v", err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	directory, err := os.MkdirTemp("", "registry") //nolint:usetesting // t.TempDir may be too long for a socket's address
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(directory) })
	path := filepath.Join(directory, "registry.sock")
	listener, err := httpserver.ListenSocket(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- registry.Serve(ctx, handler, listener) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Errorf("serving the registry: %v", err)
		}
	})
	return server.URL, "unix://" + path
}

// Main runs the tests of a package that starts registries, and fails if they leak goroutines. It ignores the goroutine that
// distribution leaks for each registry, because a production process has only one registry.
func Main(m *testing.M) {
	registry.LogTo(io.Discard)
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/docker/go-events.(*Broadcaster).run"))
}
