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
	"github.com/sirupsen/logrus"
	logrustest "github.com/sirupsen/logrus/hooks/test"
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

// wantStatus fails the test unless the response to each request, a method and a path, has the status.
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

func TestPromise_EndsWhenTheManifestArrives(t *testing.T) {
	t.Parallel()
	for _, by := range []string{"tag", "digest"} {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			image, promised := newPromise(t)
			_, other := newPromise(t)
			root := t.TempDir()
			base := registrytest.Start(t, root)
			elsewhere := promised
			elsewhere.Repository = "c"
			for _, one := range []promise.Promise{promised, other, elsewhere} {
				promiseTo(t, base, one)
			}
			path := base + "/v2/a/b/manifests/" + promised.Digest().String()
			before := send(t, http.MethodGet, path, nil)
			host := strings.TrimPrefix(base, "http://")
			reference := map[string]string{"tag": ":1", "digest": "@" + promised.Digest().String()}[by]
			if err := remote.Write(parse(t, host+"/a/b:other"), mustImage(t), options(t)...); err != nil {
				t.Fatalf("pushing another image: %v", err)
			}
			wantPromises(t, base, root, "after the push of another image", promised, other, elsewhere)
			pushMissing(t, host+"/a/b"+reference, image)
			wantPromises(t, base, root, "after the push", other, elsewhere)
			after := send(t, http.MethodGet, path, nil)
			if after.Header.Get("Etag") == "" {
				t.Errorf("header after the push = %v, want distribution's", after.Header)
			}
			after.Header.Del("Etag")
			after.Header.Del("Docker-Distribution-Api-Version")
			if diff := cmp.Diff(before, after); diff != "" {
				t.Errorf("GET of the image manifest (-promised +pushed):\n%s", diff)
			}
			wantImage(t, host+"/a/b@"+promised.Digest().String(), image, "after the push")
		})
	}
}

// mustImage returns a random image.
func mustImage(t *testing.T) v1.Image {
	t.Helper()
	image, _ := newPromise(t)
	return image
}

func TestPromise_StaysWhenItsManifestIsRefused(t *testing.T) {
	t.Parallel()
	_, promised := newPromise(t)
	root := t.TempDir()
	base := registrytest.Start(t, root)
	promiseTo(t, base, promised)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, base+"/v2/a/b/manifests/1", bytes.NewReader(promised.Manifest))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", promised.MediaType())
	if answer := exchange(t, request); answer.Status != http.StatusBadRequest { // its layers are missing
		t.Errorf("PUT of the image manifest: status %d, want %d", answer.Status, http.StatusBadRequest)
	}
	wantPromises(t, base, root, "after the refusal", promised)
}

func TestPromise_EndsWhenWithdrawn(t *testing.T) {
	t.Parallel()
	_, promised := newPromise(t)
	root := t.TempDir()
	base := registrytest.Start(t, root)
	d := promised.Digest().String()
	promiseTo(t, base, promised)
	promiseTo(t, base, promised) // has no effect
	for _, wrong := range [][2]string{{"a/c", d}, {"a/b", digest.FromString("other").String()}, {"../a/b", d}, {"", ""}} {
		withdraw(t, base, wrong[0], wrong[1])
		wantPromises(t, base, root, "after DELETE of another", promised)
	}
	withdraw(t, base, "a/b", d)
	wantPromises(t, base, root, "after DELETE")
	wantStatus(t, base, "a withdrawn image:", http.StatusNotFound,
		"GET /v2/a/b/manifests/"+d, "GET /v2/a/b/blobs/"+digest.FromBytes(promised.Config).String(), "GET /v2/a/b/blobs/"+promised.Layers()[0].String())
	withdraw(t, base, "a/b", d) // there is none
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

func TestPromise_SurvivesARestart(t *testing.T) {
	t.Parallel()
	_, promised := newPromise(t)
	root := t.TempDir()
	first := registrytest.Start(t, root)
	promiseTo(t, first, promised)
	path := "/v2/a/b/manifests/" + promised.Digest().String()
	want := send(t, http.MethodGet, first+path, nil)
	second := registrytest.Start(t, root)
	wantPromises(t, second, root, "after a restart", promised)
	if diff := cmp.Diff(want, send(t, http.MethodGet, second+path, nil)); diff != "" {
		t.Errorf("GET of the image manifest (-before +after a restart):\n%s", diff)
	}
	withdraw(t, second, "a/b", promised.Digest().String())
	wantPromises(t, registrytest.Start(t, root), root, "after DELETE and a restart")
}

func TestNew_RemovesDamagedPromises(t *testing.T) {
	t.Parallel()
	logged := &logrustest.Hook{}
	logrus.AddHook(logged)
	for name, damage := range map[string]func(file string) error{
		"emptied":      func(file string) error { return os.Truncate(file, 0) },
		"truncated":    func(file string) error { return os.Truncate(file, 100) },
		"renamed":      func(file string) error { return os.Rename(file, filepath.Join(filepath.Dir(file), "other.json")) },
		"half written": func(file string) error { return os.Rename(file, filepath.Join(filepath.Dir(file), ".half")) },
		"invalid":      func(file string) error { return os.WriteFile(file, []byte(`{"repository":"../../x"}`), 0o600) },
		"of another image": func(file string) error {
			_, other := newPromise(t)
			return os.WriteFile(file, encode(t, other), 0o600)
		},
	} {
		root := t.TempDir()
		base := registrytest.Start(t, root)
		_, promised := newPromise(t)
		_, kept := newPromise(t)
		promiseTo(t, base, promised)
		files, err := filepath.Glob(filepath.Join(root, "promises", "*"))
		if err != nil || len(files) != 1 {
			t.Fatalf("files = %v (error %v), want one", files, err)
		}
		promiseTo(t, base, kept)
		if err := damage(files[0]); err != nil {
			t.Fatal(err)
		}
		wantPromises(t, registrytest.Start(t, root), root, "with one that is "+name, kept)
		warnings := 0
		for _, entry := range logged.AllEntries() {
			if file, _ := entry.Data["file"].(string); strings.HasPrefix(file, root+"/") && entry.Level == logrus.WarnLevel {
				warnings++
			}
		}
		if warnings != 1 {
			t.Errorf("%d warnings about a promise that is %s, want 1", warnings, name)
		}
	}
}

func TestPromise_RefusesInvalidOnes(t *testing.T) {
	t.Parallel()
	_, valid := newPromise(t)
	with := func(change func(*promise.Promise)) []byte {
		changed := valid
		change(&changed)
		return encode(t, changed)
	}
	for name, body := range map[string][]byte{
		"nothing":                       nil,
		"not JSON":                      []byte("<html>"),
		"an empty object":               []byte("{}"),
		"a list":                        append(append([]byte("["), encode(t, valid)...), ']'),
		"a repository above":            with(func(p *promise.Promise) { p.Repository = "../../a" }),
		"a repository with dots inside": with(func(p *promise.Promise) { p.Repository = "a/../../b" }),
		"an absolute repository":        with(func(p *promise.Promise) { p.Repository = "/etc/cron.d/a" }),
		"a repository with a NUL":       with(func(p *promise.Promise) { p.Repository = "a\x00b" }),
		"no repository":                 with(func(p *promise.Promise) { p.Repository = "" }),
		"another config":                with(func(p *promise.Promise) { p.Config = []byte("{}") }),
		"an image ID that is no digest": with(func(p *promise.Promise) { p.ImageID = "latest" }),
		"a layer that is no digest": with(func(p *promise.Promise) {
			p.Manifest = bytes.Replace(p.Manifest, []byte(p.Layers()[0]), []byte("sha256:../../../etc"), 1)
		}),
		"too large": with(func(p *promise.Promise) { p.Name = strings.Repeat("a", promise.MaxSize) }),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parent := t.TempDir()
			root := filepath.Join(parent, "root")
			if err := os.Mkdir(root, 0o700); err != nil {
				t.Fatal(err)
			}
			base := registrytest.Start(t, root)
			if answer := send(t, http.MethodPost, base+promise.Path, bytes.NewReader(body)); answer.Status != http.StatusBadRequest {
				t.Errorf("status %d (%s), want %d", answer.Status, answer.Body, http.StatusBadRequest)
			}
			wantPromises(t, base, root, "after an invalid one")
			for _, directory := range []string{parent, root} {
				if left, err := os.ReadDir(directory); err != nil || directory == root && len(left) > 0 || len(left) > 1 {
					t.Errorf("files in %s = %v (error %v), want none of the promise", directory, left, err)
				}
			}
		})
	}
}

func TestPromise_IsRefusedToPods(t *testing.T) {
	t.Parallel()
	_, promised := newPromise(t)
	root := t.TempDir()
	base := registrytest.Start(t, root)
	promiseTo(t, base, promised)
	handler, err := registry.New(t.Context(), registry.Config{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	query := url.Values{"repository": {"a/b"}, "digest": {promised.Digest().String()}}.Encode()
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		if answer := ask(t, handler, method, promise.Path+"?"+query, node+":4000"); answer.Code != http.StatusForbidden {
			t.Errorf("%s by a pod: status %d, want %d", method, answer.Code, http.StatusForbidden)
		}
		if method == http.MethodPost || method == http.MethodDelete {
			continue
		}
		if answer := ask(t, handler, method, promise.Path, "127.0.0.1:4000"); answer.Code != http.StatusMethodNotAllowed {
			t.Errorf("%s by the host: status %d, want %d", method, answer.Code, http.StatusMethodNotAllowed)
		}
	}
	wantPromises(t, base, root, "after attempts of a pod", promised)
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
