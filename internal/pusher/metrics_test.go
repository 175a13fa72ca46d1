package pusher_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"kind-local-registry/internal/docker/dockertest"
	"kind-local-registry/internal/pusher"
	"kind-local-registry/internal/rewrite"
)

func TestPush_FallsBackToTheNextSourceAndLogsItOnce(t *testing.T) {
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
	if logged := strings.Count(e.log.String(), `"falling back to the next layer source","source":"overlay2"`); logged != 1 {
		t.Errorf("logged %d times that overlay2 cannot be read, want once:\n%s", logged, e.log)
	}
	if page := e.metrics(t); !strings.Contains(page, `kind_local_registry_source_handovers_total{source="overlay2"} 3`) {
		t.Errorf("metrics want 3 fallbacks:\n%s", page)
	}
}

func TestMetrics_CountPushesByOutcome(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	good := dockertest.NewImage("good", dockertest.Layer("one"))
	other := dockertest.Layer("two")
	corrupt := other
	corrupt.Open = dockertest.Noise(other.Size, 1).Open
	e.engine.Tag("docker.io/a/good:1", good)
	e.engine.Tag("docker.io/a/corrupt:1", dockertest.NewImage("corrupt", corrupt))
	if _, err := e.service.Push(t.Context(), "a/good:1", nil); err != nil {
		t.Fatalf("Push: %v", err)
	}
	_, err := e.service.Push(t.Context(), "a/corrupt:1", nil)
	wantRefusal(t, err, rewrite.Unservable)
	page := e.metrics(t)
	for _, want := range []string{
		`kind_local_registry_pushes_total{outcome="Pushed"} 1`,
		`kind_local_registry_pushes_total{outcome="Unservable"} 1`,
		`kind_local_registry_pushes_total{outcome="Failed"} 0`,
		`kind_local_registry_pushes_total{outcome="Cancelled"} 0`,
		fmt.Sprintf("kind_local_registry_push_bytes_total %d", good.Size()+good.Config.Size),
		"kind_local_registry_push_duration_seconds_count 1",
	} {
		if !strings.Contains(page, want+"\n") {
			t.Errorf("metrics want %s:\n%s", want, page)
		}
	}
}

// metrics returns what the server serves at /metrics.
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
