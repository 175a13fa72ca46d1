package pusher_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
	"golang.org/x/sync/errgroup"

	"kind-local-registry/internal/docker/dockertest"
	"kind-local-registry/internal/link/linkapi"
	"kind-local-registry/internal/promise"
	"kind-local-registry/internal/push"
	"kind-local-registry/internal/pusher"
	"kind-local-registry/internal/registry"
	"kind-local-registry/internal/rewrite"
	"kind-local-registry/internal/rules"
)

// linker is a linker that can link every image unless state or err says otherwise. It records the layers that it is given.
type linker struct {
	state linkapi.State
	err   error

	mu              sync.Mutex
	checked, broken [][]digest.Digest
}

// Check implements pusher.Linker.
func (l *linker) Check(_ context.Context, diffIDs []digest.Digest) (linkapi.State, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.checked = append(l.checked, diffIDs)
	return l.state, l.err
}

// Break implements pusher.Linker.
func (l *linker) Break(_ context.Context, diffIDs []digest.Digest) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = append(l.broken, diffIDs)
	return l.err
}

// promising is an env whose daemon uses the driver overlay2, and whose service promises images.
type promising struct {
	env

	root   string // Docker's data directory
	client *push.Registry
}

// newPromising starts an env with the linker and rules.
func newPromising(t *testing.T, by pusher.Linker, inForce rules.Rules) promising {
	t.Helper()
	e := promising{env: newEnvWith(t, inForce), root: t.TempDir()}
	e.engine.UseOverlay2(e.root)
	var err error
	if e.client, err = push.NewRegistry(e.registry); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.client.Close)
	e.service.ShortenPauses()
	e.service.UseLinker(by)
	e.service.AwaitPromises()
	return e
}

// build stores a new image with that label in the daemon and tags it a/b:1.
func (e promising) build(t *testing.T, label string) dockertest.Image {
	t.Helper()
	image := dockertest.NewImage(label, dockertest.Layer("base"), dockertest.Layer(label))
	dockertest.StoreImage(t, e.root, image)
	e.engine.Tag("docker.io/a/b:1", image)
	return image
}

// mustPromise promises a/b:1.
func (e promising) mustPromise(t *testing.T) digest.Digest {
	t.Helper()
	d, err := e.service.Promise(t.Context(), "a/b:1")
	if err != nil {
		t.Fatalf("Promise: %v", err)
	}
	return d
}

// occupy starts as many pushes as the service runs concurrently. Promised images are not
// pushed before they are let go. Each call in a test needs another seed.
func (e promising) occupy(t *testing.T, seed byte) (letGo func()) {
	t.Helper()
	var pushing errgroup.Group
	var releases []func()
	for i := range byte(2) {
		layer, begun, release := blocked(t, 2*seed+i)
		releases = append(releases, release)
		name := fmt.Sprintf("docker.io/occupying/%d:%d", seed, i)
		e.engine.Tag(name, dockertest.NewImage(name, layer))
		pushing.Go(func() error {
			_, err := e.service.Push(t.Context(), name, nil)
			return err
		})
		<-begun
	}
	return func() {
		for _, release := range releases {
			release()
		}
		if err := pushing.Wait(); err != nil {
			t.Errorf("a push that occupied the service: %v", err)
		}
	}
}

// diffIDs returns the digests of the image's layers.
func diffIDs(image dockertest.Image) []digest.Digest {
	var found []digest.Digest
	for _, layer := range image.Layers {
		found = append(found, layer.Digest)
	}
	return found
}

// wantRegistry fails the test unless the registry serves the complete image d at the reference of a/b. "" means none.
func (e promising) wantRegistry(t *testing.T, when, reference string, d digest.Digest) {
	t.Helper()
	got, err := e.client.Presence(t.Context(), push.Target{Repository: "a/b", Reference: reference})
	if err != nil || got.Digest != d || got.Complete != (d != "") {
		t.Errorf("%s: a/b:%s in the registry is %+v (error %v), want %q, complete", when, reference, got, err, d)
	}
}

// wantPromised fails the test unless the registry has promises with these digests.
func (e promising) wantPromised(t *testing.T, when string, want ...digest.Digest) {
	t.Helper()
	all, err := e.client.Promises(t.Context())
	if err != nil {
		t.Fatalf("Promises: %v", err)
	}
	var got []digest.Digest
	for _, one := range all {
		got = append(got, one.Digest())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: promises (-want +got):\n%s", when, diff)
	}
}

// wantMetrics fails the test unless the metrics have these lines, without their common prefix.
func (e promising) wantMetrics(t *testing.T, want ...string) {
	t.Helper()
	page := e.metrics(t)
	for _, line := range want {
		if !strings.Contains(page, "\nkind_local_registry_"+line+"\n") {
			t.Errorf("metrics want %s:\n%s", line, page)
		}
	}
}

// wantLogged fails the test unless that many lines of the log have the message.
func (e promising) wantLogged(t *testing.T, want int, message string) {
	t.Helper()
	if got := strings.Count(e.log.String(), fmt.Sprintf(`"msg":%q`, message)); got != want {
		t.Errorf("%q logged %d times, want %d:\n%s", message, got, want, e.log)
	}
}

func TestPromise_IsKeptByDigestAndTag(t *testing.T) {
	t.Parallel()
	for _, where := range []string{"in the process", "over the network"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			by := &linker{}
			e := newPromising(t, by, rules.Rules{})
			image := e.build(t, "first")
			letGo := e.occupy(t, 1)
			d, err := e.both(t)[where].Promise(t.Context(), "a/b:1")
			if err != nil {
				t.Fatalf("Promise: %v", err)
			}
			e.wantPromised(t, "before the push", d)
			e.wantRegistry(t, "before the push", "1", "")
			letGo()
			e.service.AwaitPromises()
			e.wantPromised(t, "after the push")
			e.wantRegistry(t, "after the push", d.String(), d)
			e.wantRegistry(t, "after the push", "1", d)
			if diff := cmp.Diff([][]digest.Digest{diffIDs(image)}, by.checked); diff != "" {
				t.Errorf("layers that were checked (-want +got):\n%s", diff)
			}
			if by.broken != nil {
				t.Errorf("broken layers = %v, want none", by.broken)
			}
			e.wantMetrics(t, `promises_total{outcome="Promised"} 1`, `promises_total{outcome="Failed"} 0`, "promises_withdrawn_total 0")
			e.wantLogged(t, 1, "image promised")
		})
	}
}

func TestDeliver_PromisesInsteadOfPushing(t *testing.T) {
	t.Parallel()
	for _, where := range []string{"in the process", "over the network"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			e := newPromising(t, &linker{}, rules.Rules{})
			e.build(t, "first")
			letGo := e.occupy(t, 1)
			result, err := e.both(t)[where].Deliver(t.Context(), "a/b:1", nil) // a push would wait for the other pushes
			if diff := cmp.Diff(push.Result{Digest: result.Digest, Promised: true}, result); err != nil || diff != "" {
				t.Errorf("Deliver: error %v, (-want +got):\n%s", err, diff)
			}
			e.wantPromised(t, "after Deliver", result.Digest)
			letGo()
			e.service.AwaitPromises()
			e.wantRegistry(t, "after the push", "1", result.Digest)
			again, err := e.both(t)[where].Push(t.Context(), "a/b:1", nil)
			if err != nil || again.Digest != result.Digest || again.Uploaded > 0 || again.Promised {
				t.Errorf("Push after the promise was kept = %+v, %v, want %s and no upload", again, err, result.Digest)
			}
		})
	}
}

func TestDeliver_PushesWhatCannotBePromised(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		by      *linker
		prepare func(promising)
		failed  bool // whether the metrics count a failed promise
	}{
		"an image that cannot be linked": {
			&linker{state: linkapi.State{Unlinkable: linkapi.OtherFileSystem, Detail: "in a test"}}, func(promising) {}, true,
		},
		"a linker that fails":        {&linker{err: errors.New("in a test")}, func(promising) {}, true},
		"a layer whose size is lost": {&linker{}, func(e promising) { _ = os.RemoveAll(filepath.Join(e.root, "image/overlay2/layerdb")) }, true},
		"an image whose config is lost": {
			&linker{}, func(e promising) { _ = os.RemoveAll(filepath.Join(e.root, "image/overlay2/imagedb")) }, true,
		},
	} {
		for _, where := range []string{"in the process", "over the network"} {
			t.Run(name+" "+where, func(t *testing.T) {
				t.Parallel()
				e := newPromising(t, test.by, rules.Rules{})
				e.build(t, "first")
				test.prepare(e)
				if d, err := e.both(t)[where].Promise(t.Context(), "a/b:1"); err == nil || rewrite.ReasonOf(err) != "" {
					t.Errorf("Promise = %s, %v, want an error that is no Refusal", d, err)
				}
				if _, err := e.service.Promise(t.Context(), "a/b:1"); !errors.Is(err, pusher.ErrNoPromise) {
					t.Errorf("Promise = %v, want %v", err, pusher.ErrNoPromise)
				}
				e.wantPromised(t, "after an error")
				e.wantRegistry(t, "after an error", "1", "")
				result, err := e.both(t)[where].Deliver(t.Context(), "a/b:1", nil)
				if err != nil || result.Promised || result.Uploaded != 3 {
					t.Errorf("Deliver = %+v, %v, want 3 blobs uploaded", result, err)
				}
				e.wantRegistry(t, "after Deliver", "1", result.Digest)
				e.wantMetrics(t, `promises_total{outcome="Promised"} 0`, `promises_total{outcome="Failed"} 3`)
			})
		}
	}
}

func TestPromise_NeedsALinkerAndATag(t *testing.T) {
	t.Parallel()
	without := promising{env: newEnv(t)}
	image := dockertest.NewImage("a", dockertest.Layer("one"))
	without.engine.Tag("docker.io/a/b:1", image)
	if _, err := without.service.Promise(t.Context(), "a/b:1"); !errors.Is(err, pusher.ErrNoPromise) {
		t.Errorf("Promise without a linker = %v, want %v", err, pusher.ErrNoPromise)
	}
	if result, err := without.service.Deliver(t.Context(), "a/b:1", nil); err != nil || result.Promised || result.Uploaded != 2 {
		t.Errorf("Deliver without a linker = %+v, %v, want 2 blobs uploaded", result, err)
	}
	without.wantMetrics(t, `promises_total{outcome="Promised"} 0`, `promises_total{outcome="Failed"} 0`)
	by := &linker{}
	e := newPromising(t, by, rules.Rules{})
	if _, err := e.service.Promise(t.Context(), "a/b@"+image.ID().String()); !errors.Is(err, pusher.ErrNoPromise) || len(by.checked) > 0 {
		t.Errorf("Promise by digest = %v after %d checks, want %v", err, len(by.checked), pusher.ErrNoPromise)
	}
}

func TestPromise_RefusesImagesThatCannotBePushed(t *testing.T) {
	t.Parallel()
	e := newPromising(t, &linker{}, excluding("excluded/**"))
	windows := dockertest.NewImage("w", dockertest.Layer("one"))
	windows.OS = "windows"
	e.engine.Tag("docker.io/library/w:latest", windows)
	e.engine.Tag("docker.io/excluded/a:1", dockertest.NewImage("a", dockertest.Layer("one")))
	for name, want := range map[string]rewrite.Reason{
		"w":                rewrite.WrongPlatform,
		"nothing:1":        rewrite.NotOnHost,
		"not a reference":  rewrite.InvalidReference,
		"HOST.example/a:1": rewrite.Unmappable,
		"excluded/a:1":     rewrite.ExcludedByRule,
	} {
		for _, api := range e.both(t) {
			_, err := api.Promise(t.Context(), name)
			wantRefusal(t, err, want)
			_, err = api.Deliver(t.Context(), name, nil)
			wantRefusal(t, err, want)
		}
	}
	e.wantPromised(t, "after refusals")
}

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
	e.build(t, "first") // is promised with the tag, which then moves back
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
	second.UseLinker(&linker{})
	second.AwaitPromises()
	e.wantPromised(t, "after the second process")
	e.wantRegistry(t, "after the second process", d.String(), d)
	e.wantRegistry(t, "after the second process", "1", d)
}

// promiseWithoutPush promises a/b:1 by a service that is closed at once, as if its process were killed.
func promiseWithoutPush(t *testing.T, e promising) (digest.Digest, error) {
	t.Helper()
	service := e.newService(t, rules.Rules{}) // its first pause is the default
	service.UseLinker(&linker{})
	defer service.Close()
	return service.Promise(t.Context(), "a/b:1")
}

// TestService_CloseEndsPromises relies on TestMain, which finds goroutines that have not ended.
func TestService_CloseEndsPromises(t *testing.T) {
	t.Parallel()
	e := newPromising(t, &linker{}, rules.Rules{})
	e.build(t, "first")
	layer, begun, release := blocked(t, 1)
	e.engine.Tag("docker.io/blocked/a:1", dockertest.NewImage("blocked", layer))
	if _, err := promiseWithoutPush(t, e); err != nil { // returns before the first pause is over
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
	if d, err := pushing.Promise(t.Context(), "a/b:1"); err == nil { // it is kept by the next process
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

func TestUseLinker_WaitsForTheRegistry(t *testing.T) {
	t.Parallel()
	e := newPromising(t, &linker{}, rules.Rules{})
	handler, err := registry.New(t.Context(), registry.Config{Root: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	front := &flakyPromises{Handler: handler}
	server := httptest.NewServer(front)
	t.Cleanup(server.Close)
	e.env.registry = server.URL
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
	service.UseLinker(&linker{})
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
	if err := os.RemoveAll(filepath.Join(e.root, "overlay2")); err != nil { // so that the image is saved
		t.Fatal(err)
	}
	e.engine.Truncate(1024) // later streams break off
	letGo()
	for strings.Count(e.log.String(), `"msg":"image not pushed"`) < 3 {
		time.Sleep(time.Millisecond)
	}
	e.engine.Truncate(0)
	e.service.AwaitPromises()
	e.wantPromised(t, "after the push")
	e.wantRegistry(t, "after the push", "1", d)
	e.wantMetrics(t, "promises_withdrawn_total 0")
}

func TestPromise_OfOtherContentBreaksTheImageOnce(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		corrupt bool // whether a saved image has other content too
		kept    bool
	}{
		"the files are other ones":      {false, true},
		"so is the image that is saved": {true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			by := &linker{}
			e := newPromising(t, by, rules.Rules{})
			image := e.build(t, "first")
			letGo := e.occupy(t, 1)
			d := e.mustPromise(t)
			files, err := filepath.Glob(filepath.Join(e.root, "overlay2/*/diff/file"))
			if err != nil || len(files) != 2 {
				t.Fatalf("files = %v (error %v), want 2", files, err)
			}
			for _, file := range files {
				if err := os.WriteFile(file, []byte("BASE?"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if test.corrupt {
				for i := range image.Layers {
					image.Layers[i].Open = dockertest.Noise(image.Layers[i].Size, 9).Open
				}
			}
			letGo()
			e.service.AwaitPromises()
			if diff := cmp.Diff([][]digest.Digest{diffIDs(image)}, by.broken); diff != "" {
				t.Errorf("broken layers (-want +got):\n%s", diff)
			}
			e.wantPromised(t, "after the push")
			e.wantLogged(t, 1, "layers do not match their digests, the image is not linked again")
			if test.kept {
				e.wantRegistry(t, "after the push", "1", d)
				e.wantMetrics(t, "promises_withdrawn_total 0")
			} else {
				e.wantRegistry(t, "after the push", d.String(), "")
				e.wantMetrics(t, "promises_withdrawn_total 1")
			}
		})
	}
}

func TestPromise_IsSharedByConcurrentCallers(t *testing.T) {
	t.Parallel()
	e := newPromising(t, &linker{}, rules.Rules{})
	e.build(t, "first")
	letGo := e.occupy(t, 1)
	const callers = 20
	var group errgroup.Group
	for range callers {
		group.Go(func() error {
			_, err := e.service.Promise(t.Context(), "a/b:1")
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Errorf("Promise: %v", err)
	}
	d := e.mustPromise(t)
	e.wantPromised(t, "before the push", d)
	e.wantLogged(t, 1, "image promised")
	letGo()
	e.service.AwaitPromises()
	e.wantRegistry(t, "after the push", "1", d)
	e.wantLogged(t, 1, "image pushed")
	e.wantMetrics(t, fmt.Sprintf(`promises_total{outcome="Promised"} %d`, callers+1))
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
	service.UseLinker(&linker{})
	service.AwaitPromises()
	e.wantRegistry(t, "after the push", d.String(), d)
	e.wantRegistry(t, "after the push", "1", "")
	e.wantLogged(t, 0, "promise withdrawn: pods can no longer pull the image")
}

// promiseAs makes a promise again under another name.
func (e promising) promiseAs(t *testing.T, made promise.Promise, name string) {
	t.Helper()
	made.Name = name
	body, err := json.Marshal(made)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, e.env.registry+promise.Path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("POST %s: %s", promise.Path, response.Status)
	}
}

func TestDeliver_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	e := newPromising(t, &linker{}, rules.Rules{})
	e.build(t, "first")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for where, api := range e.both(t) {
		if _, err := api.Deliver(ctx, "a/b:1", nil); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: Deliver = %v, want %v", where, err, context.Canceled)
		}
	}
	e.wantPromised(t, "after cancelled calls")
	e.wantLogged(t, 0, "pushing image")
}
