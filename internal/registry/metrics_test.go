package registry_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func TestMetrics_CountUploadedBlobs(t *testing.T) {
	t.Parallel()
	host := start(t, t.TempDir())
	image, err := random.Image(1_000, 3)
	if err != nil {
		t.Fatalf("making an image: %v", err)
	}
	for _, tag := range []string{"first", "again"} {
		if err := remote.Write(parse(t, host+"/a/b:"+tag), image, options(t)...); err != nil {
			t.Fatalf("pushing: %v", err)
		}
		// The four uploads are three layers and the config. The second push uploads nothing.
		if got, want := metrics(t, host), "kind_local_registry_blob_uploads_total 4\n"; !strings.Contains(got, want) {
			t.Errorf("metrics after the push of tag %s = %s, want %s", tag, got, want)
		}
	}
}

// metrics returns the body of the response to GET /metrics.
func metrics(t *testing.T, host string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+host+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		t.Fatalf("reading the metrics: %v", err)
	}
	body, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		t.Fatalf("reading the metrics: %v", err)
	}
	return string(body)
}
