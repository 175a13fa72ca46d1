package registry_test

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/opencontainers/go-digest"
	"github.com/sirupsen/logrus"
	logrustest "github.com/sirupsen/logrus/hooks/test"

	"kind-local-registry/internal/promise"
	"kind-local-registry/internal/registry/registrytest"
)

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
