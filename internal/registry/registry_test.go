package registry_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"kind-local-registry/internal/registry"
	"kind-local-registry/internal/registry/registrytest"
)

// start starts a registry on the directory and returns its host.
func start(t *testing.T, root string) string {
	t.Helper()
	return strings.TrimPrefix(registrytest.Start(t, root), "http://")
}

// options are those of every request: a transport whose connections end with the test.
func options(t *testing.T) []remote.Option {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return []remote.Option{remote.WithContext(t.Context()), remote.WithTransport(transport)}
}

// parse parses a reference.
func parse(t *testing.T, text string) name.Reference {
	t.Helper()
	reference, err := name.ParseReference(text)
	if err != nil {
		t.Fatalf("ParseReference(%q): %v", text, err)
	}
	return reference
}

func TestNew_ServesWhatWasPushedAlsoAfterARestart(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	image, err := random.Image(10_000, 3)
	if err != nil {
		t.Fatalf("making an image: %v", err)
	}
	if err := remote.Write(parse(t, start(t, root)+"/a/b:1"), image, options(t)...); err != nil {
		t.Fatalf("pushing: %v", err)
	}
	pulled, err := remote.Image(parse(t, start(t, root)+"/a/b:1"), options(t)...)
	if err != nil {
		t.Fatalf("pulling: %v", err)
	}
	if err := validate.Image(pulled); err != nil {
		t.Errorf("the pulled image is not valid: %v", err)
	}
	if _, err := os.Stat(filepath.Join(root, "docker/registry/v2/repositories/a/b/_manifests")); err != nil {
		t.Errorf("the data is not laid out as by registry:2: %v", err)
	}
}

func TestNew_RefusesARootThatIsNoDirectory(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, root := range []string{"", file, file + "/below"} {
		if _, err := registry.New(t.Context(), registry.Config{Root: root}); err == nil {
			t.Errorf("New with root %q: no error", root)
		}
	}
}

func TestHealthz_TellsWhetherTheStorageCanBeWritten(t *testing.T) {
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
		t.Errorf("after GET /healthz the root holds %v (error %v), want nothing", left, err)
	}
	if err := os.Remove(root); err != nil {
		t.Fatal(err)
	}
	wantStatus(http.StatusServiceUnavailable)
}

func TestServe_EndsWithItsContextAfterTheRequestsUnderWay(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("Listen: %v", err)
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		cancel()
		w.WriteHeader(http.StatusTeapot)
	})
	served := make(chan error)
	go func() { served <- registry.Serve(ctx, handler, listener) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+listener.Addr().String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatalf("the request under way: %v", err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusTeapot {
		t.Errorf("the request under way: status %d, want %d", response.StatusCode, http.StatusTeapot)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve = %v, want nil", err)
	}
}

func TestMetrics_CountsTheBlobsThatWereUploaded(t *testing.T) {
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
		// three layers and the config, once
		if got, want := metrics(t, host), "kind_local_registry_blob_uploads_total 4\n"; !strings.Contains(got, want) {
			t.Errorf("after the push of %s the metrics are %s, want %s", tag, got, want)
		}
	}
}

// metrics returns the registry's page of metrics.
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
