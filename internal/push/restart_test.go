package push_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"kind-local-registry/internal/docker/dockertest"
	"kind-local-registry/internal/push"
	"kind-local-registry/internal/registry"
)

// flaky is a registry that breaks off the first upload, like a registry that restarts.
type flaky struct {
	http.Handler

	mu      sync.Mutex
	uploads int
}

// ServeHTTP breaks off the first upload and responds to all other requests.
func (f *flaky) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/uploads/") {
		f.mu.Lock()
		f.uploads++
		first := f.uploads == 1
		f.mu.Unlock()
		if first {
			panic(http.ErrAbortHandler)
		}
	}
	f.Handler.ServeHTTP(w, r)
}

func TestPush_RetriesAfterARegistryRestart(t *testing.T) {
	t.Parallel()
	handler, err := registry.New(t.Context(), registry.Config{Root: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	front := &flaky{Handler: handler}
	server := httptest.NewServer(front)
	defer server.Close()
	client, err := push.NewRegistry(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	image := dockertest.NewImage("a", dockertest.Noise(300_000, 1), dockertest.Noise(300_000, 2))
	result, err := client.Push(t.Context(), target(), wanted(image, newEnv(t).sources(t, image)...), push.Options{})
	if err != nil {
		t.Fatalf("Push: %v", err)
	}
	if presence, err := client.Presence(t.Context(), target()); err != nil || !presence.Complete || presence.Digest != result.Digest {
		t.Errorf("Presence = %+v (error %v), want %s, complete", presence, err, result.Digest)
	}
	if front.uploads != 4 {
		t.Errorf("%d uploads, want 4: one that broke off, and one for each of three blobs", front.uploads)
	}
}
