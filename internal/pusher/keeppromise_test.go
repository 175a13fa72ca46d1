package pusher_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/docker/dockertest"
	"kind-local-registry/internal/promise"
	"kind-local-registry/internal/push"
	"kind-local-registry/internal/registry"
	"kind-local-registry/internal/rules"
)

func TestPromise_IsKeptWhenItsTagMoves(t *testing.T) {
	t.Parallel()
	e := newPromising(t, &linker{}, rules.Rules{})
	e.build(t, "first")
	letGo := e.occupy(t, 1)
	first := e.mustPromise(t)
	e.build(t, "second")
	letGo()
	e.service.AwaitPromises()
	e.wantPromised(t, "after the push")
	e.wantRegistry(t, "after the push", first.String(), first)
	e.wantRegistry(t, "after the push", "1", "")

	result, err := e.service.Push(t.Context(), "a/b:1", nil)
	if err != nil || result.Digest == first {
		t.Fatalf("Push of the second image = %s, %v, want another digest than the first", result.Digest, err)
	}
	letGo = e.occupy(t, 2)
	e.build(t, "first") // promised while it has the tag, which then moves back
	if again := e.mustPromise(t); again != first {
		t.Errorf("Promise of the first image = %s, want %s", again, first)
	}
	e.build(t, "second")
	letGo()
	e.service.AwaitPromises()
	e.wantRegistry(t, "after the tag moved back", "1", result.Digest)
}

func TestPromise_IsWithdrawnWhenItsImageIsRemoved(t *testing.T) {
	t.Parallel()
	e := newPromising(t, &linker{}, rules.Rules{})
	removed := e.build(t, "first")
	letGo := e.occupy(t, 1)
	d := e.mustPromise(t)
	e.engine.Remove(removed)
	letGo()
	e.service.AwaitPromises()
	e.wantPromised(t, "after the image was removed")
	e.wantRegistry(t, "after the image was removed", d.String(), "")
	e.wantMetrics(t, `promises_total{outcome="Promised"} 1`, "promises_withdrawn_total 1")
	e.wantLogged(t, 1, "promise withdrawn: pods can no longer pull the image")
	e.wantBroken(t, d, "PromiseWithdrawn")
	if !strings.Contains(e.log.String(), d.String()) {
		t.Errorf("the log does not name the digest %s:\n%s", d, e.log)
	}
}

func TestPromise_IsKeptAfterARestart(t *testing.T) {
	t.Parallel()
	e := newPromising(t, &linker{}, rules.Rules{})
	e.build(t, "first")
	d, err := promiseWithoutPush(t, e)
	if err != nil {
		t.Fatalf("Promise: %v", err)
	}
	e.wantPromised(t, "after the first process", d)
	second := e.newService(t, rules.Rules{})
	second.ShortenPauses()
	second.Resume() // without a linker: the promise is kept even if linking is switched off
	second.AwaitPromises()
	e.wantPromised(t, "after the second process")
	e.wantRegistry(t, "after the second process", d.String(), d)
	e.wantRegistry(t, "after the second process", "1", d)
}

// TestService_CloseEndsPromises relies on TestMain, which finds goroutines that have not ended.
func TestService_CloseEndsPromises(t *testing.T) {
	t.Parallel()
	e := newPromising(t, &linker{}, rules.Rules{})
	e.build(t, "first")
	layer, begun, release := blocked(t, 1)
	e.engine.Tag("docker.io/blocked/a:1", dockertest.NewImage("blocked", layer))
	if _, err := promiseWithoutPush(t, e); err != nil { // ends before the first pause is over
		t.Fatalf("Promise: %v", err)
	}
	pushing := e.newService(t, rules.Rules{})
	pushing.ShortenPauses()
	pushing.UseLinker(&linker{})
	ended := make(chan error, 1)
	go func() {
		_, err := pushing.Push(t.Context(), "blocked/a:1", nil)
		ended <- err
	}()
	<-begun
	pushing.Close() // returns even though the daemon has sent nothing
	if err := <-ended; err == nil {
		t.Error("a push that Close ends: no error")
	}
	release()
	if d, err := pushing.Promise(t.Context(), "a/b:1"); err == nil { // the next process keeps it
		e.wantPromised(t, "after Close", d)
	}
}

// flakyPromises is a registry that fails to list its promises at first.
type flakyPromises struct {
	http.Handler

	mu       sync.Mutex
	failures int
}

// ServeHTTP fails the first requests for the promises.
func (f *flakyPromises) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	fails := r.Method == http.MethodGet && r.URL.Path == promise.Path && f.failures > 0
	if fails {
		f.failures--
	}
	f.mu.Unlock()
	if fails {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	f.Handler.ServeHTTP(w, r)
}

func TestResume_IgnoresRegistriesWithoutPromises(t *testing.T) {
	t.Parallel()
	e := newPromising(t, &linker{}, rules.Rules{})
	server := httptest.NewServer(http.NotFoundHandler()) // like registry:2
	t.Cleanup(server.Close)
	e.registry = server.URL
	service := e.newService(t, rules.Rules{})
	service.Resume()
	service.AwaitPromises() // returns without a pause
	e.wantLogged(t, 0, "error")
}

func TestResume_WaitsForTheRegistry(t *testing.T) {
	t.Parallel()
	e := newPromising(t, &linker{}, rules.Rules{})
	handler, err := registry.New(t.Context(), registry.Config{Root: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	front := &flakyPromises{Handler: handler}
	server := httptest.NewServer(front)
	t.Cleanup(server.Close)
	e.registry = server.URL
	if e.client, err = push.NewRegistry(server.URL); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.client.Close)
	e.build(t, "first")
	d, err := promiseWithoutPush(t, e)
	if err != nil {
		t.Fatalf("Promise: %v", err)
	}
	front.mu.Lock()
	front.failures = 3
	front.mu.Unlock()
	service := e.newService(t, rules.Rules{})
	service.ShortenPauses()
	service.Resume()
	service.AwaitPromises()
	e.wantRegistry(t, "after three failures", "1", d)
	if front.failures != 0 {
		t.Errorf("%d failures left, want 0", front.failures)
	}
}

func TestPromise_IsKeptAfterTemporaryErrors(t *testing.T) {
	t.Parallel()
	e := newPromising(t, &linker{}, rules.Rules{})
	e.build(t, "first")
	letGo := e.occupy(t, 1)
	d := e.mustPromise(t)
	if err := os.RemoveAll(filepath.Join(e.root, "overlay2")); err != nil { // so that the pusher falls back to Docker's save
		t.Fatal(err)
	}
	e.engine.Truncate(1024) // later saves break off
	letGo()
	for strings.Count(e.log.String(), `"msg":"image not pushed"`) < 3 {
		time.Sleep(time.Millisecond)
	}
	e.engine.Truncate(0)
	e.service.AwaitPromises()
	e.wantPromised(t, "after the push")
	e.wantRegistry(t, "after the push", "1", d)
	e.wantMetrics(t, "promises_withdrawn_total 0")
	e.wantBroken(t, d)
}

// changeFiles changes the files of the layers of the image from build, from the given layer on.
func (e promising) changeFiles(t *testing.T, lowest int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(e.root, "overlay2/*/diff/file"))
	if err != nil || len(files) != 2 {
		t.Fatalf("files = %v (error %v), want 2", files, err)
	}
	for _, file := range files {
		if content, err := os.ReadFile(file); err != nil || lowest == 1 && string(content) == "base" {
			continue
		}
		if err := os.WriteFile(file, []byte("BASE?"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPromise_OfOtherContentBreaksLayersOnce(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		lowest  int  // the lowest layer that has other content; the layers above it have other content, too
		corrupt bool // whether the saved image has other content, too
		kept    bool
	}{
		"the files have other content":               {0, false, true},
		"the topmost layer's file has other content": {1, false, true},
		"the saved image has other content":          {0, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			by := &linker{}
			e := newPromising(t, by, rules.Rules{})
			image := e.build(t, "first")
			letGo := e.occupy(t, 1)
			d := e.mustPromise(t)
			e.changeFiles(t, test.lowest)
			if test.corrupt {
				for i := range image.Layers {
					image.Layers[i].Open = dockertest.Noise(image.Layers[i].Size, 9).Open
				}
			}
			letGo()
			e.service.AwaitPromises()
			want := [][]digest.Digest{diffIDs(image)[:1], diffIDs(image)}[test.lowest:]
			if diff := cmp.Diff(want, by.broken); diff != "" {
				t.Errorf("broken layers (-want +got):\n%s", diff)
			}
			e.wantPromised(t, "after the push")
			e.wantLogged(t, 1, "layers do not match their digests, they are not linked again")
			if test.kept {
				e.wantRegistry(t, "after the push", "1", d)
				e.wantMetrics(t, "promises_withdrawn_total 0")
				e.wantBroken(t, d, "LayersChanged")
			} else {
				e.wantRegistry(t, "after the push", d.String(), "")
				e.wantMetrics(t, "promises_withdrawn_total 1")
				e.wantBroken(t, d, "LayersChanged", "PromiseWithdrawn")
			}
		})
	}
}

func TestPromise_IsKeptWithoutAValidName(t *testing.T) {
	t.Parallel()
	e := newPromising(t, &linker{}, rules.Rules{})
	image := e.build(t, "first")
	d, err := promiseWithoutPush(t, e)
	if err != nil {
		t.Fatalf("Promise: %v", err)
	}
	all, err := e.client.Promises(t.Context())
	if err != nil || len(all) != 1 || all[0].Name != "a/b:1" || all[0].ImageID != image.ID() {
		t.Fatalf("Promises = %+v, %v, want one of a/b:1 with image ID %s", all, err, image.ID())
	}
	if err := e.client.Withdraw(t.Context(), "a/b", d); err != nil {
		t.Fatal(err)
	}
	e.promiseAs(t, all[0], "not a reference")
	service := e.newService(t, rules.Rules{})
	service.ShortenPauses()
	service.Resume()
	service.AwaitPromises()
	e.wantRegistry(t, "after the push", d.String(), d)
	e.wantRegistry(t, "after the push", "1", "")
	e.wantLogged(t, 0, "promise withdrawn: pods can no longer pull the image")
}
