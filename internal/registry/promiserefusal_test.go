package registry_test

import (
	"bytes"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kind-local-registry/internal/promise"
	"kind-local-registry/internal/registry"
	"kind-local-registry/internal/registry/registrytest"
)

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
