package registry_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"kind-local-registry/internal/link/linkapi"
	"kind-local-registry/internal/promise"
	"kind-local-registry/internal/registry"
	"kind-local-registry/internal/registry/registrytest"
)

// newPromise returns a random image and a promise of it in the repository a/b.
func newPromise(t *testing.T) (v1.Image, promise.Promise) {
	t.Helper()
	image, err := random.Image(1000, 2)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := image.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.RawConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	return image, promise.Promise{
		Name: "a/b:1", ImageID: digest.FromBytes(config), Repository: "a/b", Manifest: manifest, Config: config,
	}
}

// send sends a request on a new connection.
func send(t *testing.T, method, url string, body io.Reader) response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return exchange(t, request)
}

// encode returns the body of a request to promise the image.
func encode(t *testing.T, promised promise.Promise) []byte {
	t.Helper()
	body, err := json.Marshal(promised)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// promiseTo promises the image to the registry at base.
func promiseTo(t *testing.T, base string, promised promise.Promise) {
	t.Helper()
	if answer := send(t, http.MethodPost, base+promise.Path, bytes.NewReader(encode(t, promised))); answer.Status != http.StatusOK {
		t.Fatalf("POST %s: status %d (%s), want %d", promise.Path, answer.Status, answer.Body, http.StatusOK)
	}
}

// withdraw ends a promise.
func withdraw(t *testing.T, base, repository, d string) {
	t.Helper()
	query := url.Values{"repository": {repository}, "digest": {d}}.Encode()
	if answer := send(t, http.MethodDelete, base+promise.Path+"?"+query, nil); answer.Status != http.StatusOK {
		t.Errorf("DELETE %s?%s: status %d, want %d", promise.Path, query, answer.Status, http.StatusOK)
	}
}

// wantPromises fails the test unless the registry has these promises, and a file for each in its root.
func wantPromises(t *testing.T, base, root, when string, want ...promise.Promise) {
	t.Helper()
	var got []promise.Promise
	if err := json.Unmarshal([]byte(send(t, http.MethodGet, base+promise.Path, nil).Body), &got); err != nil {
		t.Fatalf("listing the promises: %v", err)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("promises %s (-want +got):\n%s", when, diff)
	}
	files, err := os.ReadDir(filepath.Join(root, "promises"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if len(files) != len(want) {
		t.Errorf("files of promises %s = %v, want %d", when, files, len(want))
	}
}

// wantStatus fails the test unless the response to each request has the status. A request is a method and a path.
func wantStatus(t *testing.T, base, when string, want int, requests ...string) {
	t.Helper()
	for _, one := range requests {
		method, path, _ := strings.Cut(one, " ")
		if got := send(t, method, base+path, nil).Status; got != want {
			t.Errorf("%s %s: status %d, want %d", when, one, got, want)
		}
	}
}

func TestPromise_ServesManifestByDigestAndConfig(t *testing.T) {
	t.Parallel()
	_, promised := newPromise(t)
	base := registrytest.Start(t, t.TempDir())
	promiseTo(t, base, promised)
	d, config := promised.Digest(), digest.FromBytes(promised.Config)
	header := func(content []byte, mediaType string) http.Header {
		return http.Header{
			"Content-Length": {strconv.Itoa(len(content))}, "Content-Type": {mediaType}, "Docker-Content-Digest": {digest.FromBytes(content).String()},
		}
	}
	manifest := header(promised.Manifest, promised.MediaType())
	for request, want := range map[string]response{
		"GET /v2/a/b/manifests/" + d.String():  {http.StatusOK, manifest, string(promised.Manifest)},
		"HEAD /v2/a/b/manifests/" + d.String(): {http.StatusOK, manifest, ""},
		"GET /v2/a/b/blobs/" + config.String(): {http.StatusOK, header(promised.Config, "application/octet-stream"), string(promised.Config)},
	} {
		method, path, _ := strings.Cut(request, " ")
		if diff := cmp.Diff(want, send(t, method, base+path, nil)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", request, diff)
		}
	}
}

func TestPromise_ServesNothingElse(t *testing.T) {
	t.Parallel()
	_, promised := newPromise(t)
	base := registrytest.Start(t, t.TempDir())
	promiseTo(t, base, promised)
	d, config, layer := promised.Digest().String(), digest.FromBytes(promised.Config).String(), promised.Layers()[0].String()
	wantStatus(t, base, "a promised image:", http.StatusNotFound,
		"GET /v2/a/b/manifests/1", "HEAD /v2/a/b/manifests/1",
		"HEAD /v2/a/b/blobs/"+config, "HEAD /v2/a/b/blobs/"+layer,
		"GET /v2/a/b/manifests/"+config, "GET /v2/a/b/blobs/"+d, "GET /v2/a/b/blobs/"+digest.FromString("another").String(),
		"GET /v2/a/manifests/"+d, "GET /v2/a/b/c/manifests/"+d, "GET /v2/b/manifests/"+d, "HEAD /v2/c/manifests/"+d,
		"GET /v2/c/blobs/"+config, "GET /v2/c/blobs/"+layer, "GET /v2/a/b/tags/list",
	)
}

func TestPromise_LayerWaitsForItsPush(t *testing.T) {
	t.Parallel()
	image, promised := newPromise(t)
	handler, err := registry.New(t.Context(), registry.Config{Root: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	waiting := make(chan struct{}, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/sha256:") {
			waiting <- struct{}{}
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	promiseTo(t, server.URL, promised)
	answers := make([]response, 2)
	var pulling errgroup.Group
	for i, layer := range promised.Layers() {
		pulling.Go(func() error {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/v2/a/b/blobs/"+layer.String(), nil)
			if err == nil {
				answers[i], err = receive(request)
			}
			return err
		})
	}
	<-waiting
	<-waiting
	wantStatus(t, server.URL, "while the pulls wait:", http.StatusNotFound, "HEAD /v2/a/b/blobs/"+promised.Layers()[0].String())
	host := strings.TrimPrefix(server.URL, "http://")
	if err := remote.Write(parse(t, host+"/a/b:1"), image, options(t)...); err != nil {
		t.Fatalf("pushing: %v", err)
	}
	if err := pulling.Wait(); err != nil {
		t.Fatalf("pulling: %v", err)
	}
	for i, layer := range promised.Layers() {
		if got := digest.FromString(answers[i].Body); answers[i].Status != http.StatusOK || got != layer {
			t.Errorf("GET of promised layer %s: status %d, content %s, want it whole", layer, answers[i].Status, got)
		}
	}
}

func TestPromise_IsMadeOnceByConcurrentRequests(t *testing.T) {
	t.Parallel()
	_, promised := newPromise(t)
	root := t.TempDir()
	handler, err := registry.New(t.Context(), registry.Config{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	body := encode(t, promised)
	var promising errgroup.Group
	for range 50 {
		promising.Go(func() error {
			request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://localhost"+promise.Path, bytes.NewReader(body))
			request.RemoteAddr = "127.0.0.1:1"
			answer := httptest.NewRecorder()
			handler.ServeHTTP(answer, request)
			if answer.Code != http.StatusOK {
				return errors.New(answer.Body.String())
			}
			return nil
		})
	}
	if err := promising.Wait(); err != nil {
		t.Errorf("promising: %v", err)
	}
	wantPromises(t, server.URL, root, "after 50 requests", promised)
}

func TestLink_PrecedesAPromisedManifest(t *testing.T) {
	t.Parallel()
	image, promised := newPromise(t)
	root := t.TempDir()
	promiseTo(t, registrytest.Start(t, root), promised)
	linker := &links{}
	answer := ask(t, newLinking(t, root, linker), http.MethodGet, "/v2/a/b/manifests/"+promised.Digest().String(), node+":4000")
	linker.wantCalls(t, "GET of a promised manifest", linkapi.Request{Address: node, Layers: diffIDs(t, image)})
	if !bytes.Equal(answer.Body.Bytes(), promised.Manifest) {
		t.Errorf("body = %s, want %s", answer.Body, promised.Manifest)
	}
}
