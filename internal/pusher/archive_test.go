package pusher_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/archive/archivetest"
	"kind-local-registry/internal/docker/dockertest"
	"kind-local-registry/internal/push"
	"kind-local-registry/internal/rewrite"
	"kind-local-registry/internal/rewrite/rewritetest"
)

func TestLookup_ReportsImagesFromArchives(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	registry, err := push.NewRegistry(e.registry)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(registry.Close)
	app := archivetest.New(t, "", "content")
	for _, blob := range [][]byte{app.Config(t), app.Layers[0]} {
		if _, err := registry.Upload(t.Context(), "a/b", blob); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := registry.PutArchived(t.Context(), push.Target{Repository: "a/b", Reference: "1"}, app.Manifest(t)); err != nil {
		t.Fatal(err)
	}
	d := digest.FromBytes(app.Manifest(t)).String()
	rebuilt := dockertest.NewImage("rebuilt", dockertest.Layer("one"))
	for where, pusher := range e.both(t) {
		want := func(name string, want rewrite.Presence) {
			t.Helper()
			got, err := pusher.Lookup(t.Context(), rewritetest.Name(t, name))
			if err != nil {
				t.Fatalf("%s: Lookup(%q): %v", where, name, err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: Lookup(%q) (-want +got):\n%s", where, name, diff)
			}
		}
		want("a/b:1", rewrite.Presence{Served: d, Archive: true})
		want("a/b:2", rewrite.Presence{})
		want("a/b@"+d, rewrite.Presence{Digest: d, Served: d})
	}
	e.engine.Tag("docker.io/a/b:1", rebuilt)
	if _, err := e.service.Push(t.Context(), "a/b:1", nil); err != nil {
		t.Fatal(err)
	}
	e.engine.Untag("docker.io/a/b:1")
	if got, err := e.service.Lookup(t.Context(), rewritetest.Name(t, "a/b:1")); err != nil || got.Archive {
		t.Errorf("Lookup after a build = %+v, %v; want an image that is not from an archive", got, err)
	}
}
