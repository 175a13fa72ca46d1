package registry_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/link/linkapi"
	"kind-local-registry/internal/registry"
)

// node is the address of a node, in a network in which this machine certainly has no gateway.
const node = "192.0.2.9"

// links is a linker that records its calls.
type links struct {
	err    error  // returned by Link
	during func() // called by Link unless it is nil

	mu    sync.Mutex
	calls []linkapi.Request
}

// Link implements registry.Linker.
func (l *links) Link(_ context.Context, address string, diffIDs []digest.Digest) (linkapi.Result, error) {
	if l.during != nil {
		l.during()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls = append(l.calls, linkapi.Request{Address: address, Layers: diffIDs})
	return linkapi.Result{}, l.err
}

// wantCalls fails the test unless the linker received exactly these calls.
func (l *links) wantCalls(t *testing.T, what string, want ...linkapi.Request) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if diff := cmp.Diff(want, l.calls); diff != "" {
		t.Errorf("%s: calls of the linker (-want +got):\n%s", what, diff)
	}
}

// newLinking returns a registry with the linker.
func newLinking(t *testing.T, root string, linker registry.Linker) http.Handler {
	t.Helper()
	handler, err := registry.New(t.Context(), registry.Config{Root: root, Linker: linker})
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return handler
}

// diffIDs returns the diffIDs of the image's layers.
func diffIDs(t *testing.T, image v1.Image) []digest.Digest {
	t.Helper()
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	var found []digest.Digest
	for _, diffID := range config.RootFS.DiffIDs {
		found = append(found, digest.Digest(diffID.String()))
	}
	return found
}

// digestOf returns the digest of an image or a layer.
func digestOf(t *testing.T, of interface{ Digest() (v1.Hash, error) }) string {
	t.Helper()
	d, err := of.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d.String()
}

// ask returns the handler's response to a request from a node.
func ask(t *testing.T, handler http.Handler, method, path, from string) *httptest.ResponseRecorder {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), method, "http://kind-registry:5000"+path, nil)
	request.RemoteAddr = from
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, request)
	return answer
}

func TestLink_PrecedesTheImageManifest(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	image := push(t, start(t, root)+"/a/b:1")
	manifest, err := image.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, reference := range []string{"1", digestOf(t, image)} {
		for from, address := range map[string]string{
			node + ":4000": node, "[::ffff:" + node + "]:4000": node, "[2001:db8::9]:4000": "2001:db8::9", "[fe80::9%eth0]:4000": "fe80::9",
		} {
			answer := httptest.NewRecorder()
			linker := &links{during: func() {
				if answer.Body.Len() > 0 || len(answer.Header()) > 0 {
					t.Error("the response began before the layers were linked")
				}
			}}
			request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://kind-registry:5000/v2/a/b/manifests/"+reference, nil)
			request.RemoteAddr = from
			newLinking(t, root, linker).ServeHTTP(answer, request)
			linker.wantCalls(t, "GET from "+from, linkapi.Request{Address: address, Layers: diffIDs(t, image)})
			if answer.Code != http.StatusOK || !cmp.Equal(answer.Body.Bytes(), manifest) {
				t.Errorf("GET from %s: status %d, body %s, want %s", from, answer.Code, answer.Body, manifest)
			}
		}
	}
}

func TestLink_HappensOnlyForPullsOfNodes(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	host := start(t, root)
	image := push(t, host+"/a/b:1")
	index, err := random.Index(1000, 2, 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(parse(t, host+"/a/b:index"), index, options(t)...); err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ method, path, from string }{
		{"HEAD", "/v2/a/b/manifests/1", node + ":1"},
		{"PUT", "/v2/a/b/manifests/1", node + ":1"},
		{"PUT", "/v2/a/b/manifests/1", "127.0.0.1:1"},
		{"GET", "/v2/a/b/manifests/1", "127.0.0.1:1"},
		{"GET", "/v2/a/b/manifests/1", "[::1]:1"},
		{"GET", "/v2/a/b/manifests/1", "[::ffff:127.0.0.1]:1"},
		{"GET", "/v2/a/b/manifests/1", "@"},
		{"GET", "/v2/a/b/manifests/index", node + ":1"},
		{"GET", "/v2/a/b/manifests/missing", node + ":1"},
		{"GET", "/v2/c/manifests/1", node + ":1"},
		{"GET", "/v2/a/b/blobs/" + config.String(), node + ":1"},
		{"GET", "/v2/a/b/blobs/" + digestOf(t, mustLayers(t, image)[0]), node + ":1"},
		{"GET", "/v2/a/b/tags/list", node + ":1"},
		{"GET", "/v2/", node + ":1"},
		{"GET", "/promises", node + ":1"},
	} {
		linker := &links{}
		answer := ask(t, newLinking(t, root, linker), test.method, test.path, test.from)
		linker.wantCalls(t, test.method+" "+test.path+" from "+test.from)
		if missing := answer.Code == http.StatusNotFound; missing != (test.path == "/v2/a/b/manifests/missing" || test.path == "/v2/c/manifests/1") {
			t.Errorf("%s %s: status %d", test.method, test.path, answer.Code)
		}
	}
}

func TestLink_SkipsImagesWithoutAConfig(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	image := push(t, start(t, root)+"/a/b:1")
	config, err := image.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	if err := damages()["removed"](root + "/docker/registry/v2/blobs/sha256/" + config.Hex[:2] + "/" + config.Hex + "/data"); err != nil {
		t.Fatal(err)
	}
	linker := &links{}
	if answer := ask(t, newLinking(t, root, linker), "GET", "/v2/a/b/manifests/1", node+":1"); answer.Code != http.StatusOK {
		t.Errorf("GET of the image manifest: status %d, want %d", answer.Code, http.StatusOK)
	}
	linker.wantCalls(t, "without the config")
}

// TestLink_ChangesNoResponse compares the responses on the network with those of a registry without a linker.
func TestLink_ChangesNoResponse(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	host := start(t, root)
	image := push(t, host+"/a/b:1")
	fail := &links{err: errors.New("no such node")}
	plain, linked, failing := fromNode(t, newLinking(t, root, nil)), fromNode(t, newLinking(t, root, &links{})), fromNode(t, newLinking(t, root, fail))
	for _, path := range []string{
		"/v2/a/b/manifests/1", "/v2/a/b/manifests/" + digestOf(t, image), "/v2/a/b/manifests/missing", "/v2/a/b/manifests/not%20valid",
	} {
		for _, etag := range []string{"", `"` + digestOf(t, image) + `"`} {
			want := responseOf(t, plain+path, etag)
			for name, server := range map[string]string{"a linker": linked, "a linker that fails": failing} {
				if diff := cmp.Diff(want, responseOf(t, server+path, etag)); diff != "" {
					t.Errorf("GET %s with If-None-Match %s, with %s (-without +with):\n%s", path, etag, name, diff)
				}
			}
		}
	}
	if len(fail.calls) == 0 {
		t.Error("the linker that fails was not called")
	}
}

// fromNode serves the handler and returns its URL. To the handler, every client seems to have the address of a node.
func fromNode(t *testing.T, handler http.Handler) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.RemoteAddr = net.JoinHostPort(node, "4000")
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// response is what a client receives.
type response struct {
	Status int
	Header http.Header
	Body   string
}

// responseOf returns the response to a GET on a new connection, without its date. etag is sent as If-None-Match unless it is "".
func responseOf(t *testing.T, url, etag string) response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if etag != "" {
		request.Header.Set("If-None-Match", etag)
	}
	return exchange(t, request)
}

// exchange does the same as receive, and fails the test on an error.
func exchange(t *testing.T, request *http.Request) response {
	t.Helper()
	received, err := receive(request)
	if err != nil {
		t.Fatal(err)
	}
	return received
}

// receive sends the request on a new connection, and returns the response without its date.
func receive(request *http.Request) (response, error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(request)
	if err != nil {
		return response{}, err
	}
	body, err := io.ReadAll(answer.Body)
	answer.Header.Del("Date")
	return response{answer.StatusCode, answer.Header, string(body)}, errors.Join(err, answer.Body.Close())
}
