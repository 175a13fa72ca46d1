package pusher_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"kind-local-registry/internal/docker/dockertest"
	"kind-local-registry/internal/pusher"
)

func TestPush_TakesTheNextSourceAndSaysSoOnce(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.engine.SetDriver("overlay2")
	for i := range 3 {
		name := fmt.Sprintf("a/b:%d", i)
		e.engine.Tag("docker.io/"+name, dockertest.NewImage(name, dockertest.Layer(name)))
		if _, err := e.service.Push(t.Context(), name, nil); err != nil {
			t.Fatalf("Push(%q): %v", name, err)
		}
	}
	if said := strings.Count(e.log.String(), `"layer source handed over to the next","source":"overlay2"`); said != 1 {
		t.Errorf("said %d times that overlay2 cannot be read, want once:\n%s", said, e.log)
	}
	if metrics := e.metrics(t); !strings.Contains(metrics, `kind_local_registry_source_handovers_total{source="overlay2"} 3`) {
		t.Errorf("metrics want 3 hand-overs:\n%s", metrics)
	}
}

// metrics returns the server's page of metrics.
func (e env) metrics(t *testing.T) string {
	t.Helper()
	security, err := pusher.ClientTLS(e.credentials.CA, e.credentials.ClientCert, e.credentials.ClientKey)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: security}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+e.address+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	page, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}
