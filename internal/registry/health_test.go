package registry_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"kind-local-registry/internal/registry"
)

func TestHealthz_ReportsUnwritableStorage(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "root")
	if err := os.Mkdir(root, 0o700); err != nil {
		t.Fatal(err)
	}
	handler, err := registry.New(t.Context(), registry.Config{Root: root})
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	wantStatus := func(want int) {
		t.Helper()
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost/healthz", nil))
		if answer.Code != want {
			t.Errorf("GET /healthz: status %d (%s), want %d", answer.Code, answer.Body, want)
		}
	}
	wantStatus(http.StatusOK)
	if left, err := os.ReadDir(root); err != nil || len(left) > 0 {
		t.Errorf("files in the root after GET /healthz = %v (error %v), want none", left, err)
	}
	if err := os.Remove(root); err != nil {
		t.Fatal(err)
	}
	wantStatus(http.StatusServiceUnavailable)
}
