package registry_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"kind-local-registry/internal/registry"
)

func TestNew_RefusesWritesByPodsOnEveryPath(t *testing.T) {
	t.Parallel()
	handler, err := registry.New(t.Context(), registry.Config{Root: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		for _, path := range []string{"/v2/a/blobs/uploads/", "/v2/a/blobs/uploads/?mount=sha256:x", "/v2/a/manifests/1", "/healthz", "/"} {
			answer := httptest.NewRecorder()
			request := httptest.NewRequestWithContext(t.Context(), method, "http://kind-registry:5000"+path, nil)
			request.RemoteAddr = "172.18.0.3:4000" // a node's address
			handler.ServeHTTP(answer, request)
			if answer.Code != http.StatusForbidden {
				t.Errorf("%s %s: status %d, want %d", method, path, answer.Code, http.StatusForbidden)
			}
		}
	}
}

func TestNew_RefusesForeignHostOnEveryPath(t *testing.T) {
	t.Parallel()
	handler, err := registry.New(t.Context(), registry.Config{Root: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/v2/", "/metrics", "/healthz"} {
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://attacker.example:5001"+path, nil))
		if answer.Code != http.StatusMisdirectedRequest {
			t.Errorf("GET %s: status %d, want %d", path, answer.Code, http.StatusMisdirectedRequest)
		}
	}
}

// request sends a request on a new connection. It returns the response's status and Location header.
func request(t *testing.T, method, url string, body io.Reader) (status int, location string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	_ = response.Body.Close()
	return response.StatusCode, response.Header.Get("Location")
}

func TestNew_RefusesDeletes(t *testing.T) {
	t.Parallel()
	host := start(t, t.TempDir())
	image := push(t, host+"/a:1")
	d, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	layer, err := mustLayers(t, image)[0].Digest()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"manifests/" + d.String(), "manifests/1", "blobs/" + layer.String()} {
		if status, _ := request(t, http.MethodDelete, "http://"+host+"/v2/a/"+path, nil); status != http.StatusMethodNotAllowed {
			t.Errorf("DELETE of %s: status %d, want %d", path, status, http.StatusMethodNotAllowed)
		}
	}
	wantImage(t, host+"/a:1", image, "after attempts to delete it")
}
