package pusher_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"kind-local-registry/internal/docker/dockertest"
	"kind-local-registry/internal/link/linkapi"
	"kind-local-registry/internal/push"
	"kind-local-registry/internal/pusher"
	"kind-local-registry/internal/rewrite"
	"kind-local-registry/internal/rules"
)

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

// TestDeliver_PushesNamesInTheRegistry covers pods that keep a tag in the registry, which the registry serves only after the push.
func TestDeliver_PushesNamesInTheRegistry(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"of the original name", "of a build"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newPromising(t, &linker{}, rules.Rules{})
			tag := "1"
			if image := e.build(t, "first"); name == "of a build" {
				tag += "-" + image.ID().Encoded()[:12]
			}
			result, err := e.service.Deliver(t.Context(), registryHost+"/a/b:"+tag, nil)
			if err != nil || result.Promised || result.Uploaded != 3 {
				t.Errorf("Deliver = %+v, %v, want 3 blobs uploaded", result, err)
			}
			e.wantRegistry(t, "after Deliver", tag, result.Digest)
		})
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

// TestPromise_TellsRefusalsFromOtherErrors uses the containerd image store, because only there can reading the image manifest fail.
func TestPromise_TellsRefusalsFromOtherErrors(t *testing.T) {
	t.Parallel()
	e := newPromising(t, &linker{}, rules.Rules{})
	e.build(t, "first")
	e.engine.UseContainerd()
	e.engine.Truncate(1)
	if _, err := e.service.Promise(t.Context(), "a/b:1"); !errors.Is(err, pusher.ErrNoPromise) || rewrite.ReasonOf(err) != "" {
		t.Errorf("Promise of an image whose manifest is unreadable = %v, want %v", err, pusher.ErrNoPromise)
	}
	e.engine.Truncate(0) // the fake daemon has the config in place of the image manifest
	_, err := e.service.Promise(t.Context(), "a/b:1")
	wantRefusal(t, err, rewrite.Unservable)
	if errors.Is(err, pusher.ErrNoPromise) {
		t.Errorf("Promise of an image that cannot be pushed = %v, want no %v", err, pusher.ErrNoPromise)
	}
	e.wantPromised(t, "after errors")
	e.wantMetrics(t, `promises_total{outcome="Promised"} 0`, `promises_total{outcome="Failed"} 2`)
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
