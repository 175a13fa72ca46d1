// Package registrytest runs the real registry in a test's process.
package registrytest

import (
	"io"
	"net/http/httptest"
	"testing"

	"go.uber.org/goleak"

	"kind-local-registry/internal/registry"
)

// Start starts a registry on the directory root and returns its URL. It ends with the test.
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

// Main runs the tests of a package that starts registries and fails if they leak goroutines. It ignores the one that
// distribution leaves for each registry: a production process has one registry.
func Main(m *testing.M) {
	registry.LogTo(io.Discard)
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/docker/go-events.(*Broadcaster).run"))
}
