package registry

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"kind-local-registry/internal/promise"
)

// layered returns promises of two images that share a layer, in front of a registry in which the layer arrives after the given
// time.
func layered(t *testing.T, arrives time.Duration) (handler *promises, layer digest.Digest) {
	t.Helper()
	layer = digest.FromString("layer")
	start := time.Now()
	next := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if time.Since(start) < arrives {
			w.WriteHeader(http.StatusNotFound)
		}
	})
	handler, err := newPromises(next, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, config := range []string{"one", "two"} {
		manifest, err := json.Marshal(v1.Manifest{Config: v1.Descriptor{Digest: digest.FromString(config)}, Layers: []v1.Descriptor{{Digest: layer}}})
		if err != nil {
			t.Fatal(err)
		}
		if err := handler.add(promise.Promise{Repository: "a/b", Manifest: manifest, Config: []byte(config)}); err != nil {
			t.Fatal(err)
		}
	}
	return handler, layer
}

func TestPromises_LimitTheWaitForALayer(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		arrives, leaves time.Duration
		method          string
		took            time.Duration
		status          int
	}{
		"the layer is there":         {0, time.Hour, "GET", 0, http.StatusOK},
		"the layer arrives":          {10 * time.Second, time.Hour, "GET", 10 * time.Second, http.StatusOK},
		"the layer does not arrive":  {time.Hour, time.Hour, "GET", 25 * time.Second, http.StatusNotFound},
		"the client leaves":          {time.Hour, 5 * time.Second, "GET", 5 * time.Second, http.StatusNotFound},
		"the pusher asks for a HEAD": {time.Hour, time.Hour, "HEAD", 0, http.StatusNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				handler, layer := layered(t, test.arrives)
				ctx, cancel := context.WithTimeout(t.Context(), test.leaves)
				defer cancel()
				answer, start := httptest.NewRecorder(), time.Now()
				handler.ServeHTTP(answer, httptest.NewRequestWithContext(ctx, test.method, "/v2/a/b/blobs/"+layer.String(), nil))
				if took := time.Since(start); took != test.took || answer.Code != test.status {
					t.Errorf("status %d after %s, want %d after %s", answer.Code, took, test.status, test.took)
				}
			})
		})
	}
}

func TestPromises_EndTheWaitForALayerOfNoPromise(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		handler, layer := layered(t, time.Hour)
		start := time.Now()
		for i, withdrawn := range handler.list() { // the images share the layer, so only the last withdrawal ends the wait
			time.AfterFunc(time.Duration(i+1)*time.Second, func() { handler.remove(withdrawn.Repository, withdrawn.Digest()) })
		}
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v2/a/b/blobs/"+layer.String(), nil))
		if took, want := time.Since(start), 2*time.Second; took < want || took > want+layerInterval || answer.Code != http.StatusNotFound {
			t.Errorf("status %d after %s, want %d after %s", answer.Code, took, http.StatusNotFound, want)
		}
	})
}
