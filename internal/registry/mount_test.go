package registry_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

func TestNew_MountsBlobFromAnyRepository(t *testing.T) {
	t.Parallel()
	host := start(t, t.TempDir())
	image := push(t, host+"/a/b:1")
	layer, err := mustLayers(t, image)[0].Digest()
	if err != nil {
		t.Fatal(err)
	}
	for digest, want := range map[string]int{
		layer.String():                      http.StatusCreated,
		"sha256:" + strings.Repeat("0", 64): http.StatusAccepted,
		"nonsense":                          http.StatusAccepted,
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+host+"/v2/x/y/blobs/uploads/?mount="+digest, nil)
		if err != nil {
			t.Fatal(err)
		}
		transport := &http.Transport{}
		response, err := transport.RoundTrip(request)
		if err != nil {
			t.Fatalf("mounting %s: %v", digest, err)
		}
		_ = response.Body.Close()
		transport.CloseIdleConnections()
		if response.StatusCode != want {
			t.Errorf("mounting %s = %s, want %d", digest, response.Status, want)
		}
	}
	blob, err := name.NewDigest(host + "/x/y@" + layer.String())
	if err != nil {
		t.Fatal(err)
	}
	mounted, err := remote.Layer(blob, options(t)...)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Layer(mounted); err != nil {
		t.Errorf("validating the mounted layer: %v", err)
	}
}
