// Package registrytest runs the real registry in the process of a test.
package registrytest

import (
	"io"
	"net/http/httptest"
	"testing"

	"go.uber.org/goleak"

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

// Main runs the tests of a package that starts registries, and fails if they leak goroutines. It ignores the goroutine that
// distribution leaks for each registry, because a production process has only one registry.
func Main(m *testing.M) {
	registry.LogTo(io.Discard)
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/docker/go-events.(*Broadcaster).run"))
}
