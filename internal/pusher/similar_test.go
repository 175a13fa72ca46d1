package pusher_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/docker/dockertest"
	"kind-local-registry/internal/rewrite"
	"kind-local-registry/internal/rewrite/rewritetest"
	"kind-local-registry/internal/rules"
)

func TestLookup_FindsSimilarTags(t *testing.T) {
	t.Parallel()
	inForce, err := rules.Parse("rules", []byte("images: {exclude: [docker.io/secret/*]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	e := newEnvWith(t, inForce)
	e.engine.SetDriver("overlay2")
	built, pulled := dockertest.NewImage("built", dockertest.Layer("one")), dockertest.NewImage("pulled", dockertest.Layer("one"))
	pulled.RepoDigests = []string{"mongo@" + digest.FromString("of Docker Hub").String()}
	for name, image := range map[string]dockertest.Image{
		"docker.io/example/hello:local": built, "docker.io/example/hello:dev": built, "docker.io/example/hello:v1": built,
		"docker.io/example/hello:v2": built, "docker.io/secret/hello:local": built, "docker.io/library/mongo:8": pulled,
		registryHost + "/own/hello:local": built,
	} {
		e.engine.Tag(name, image)
	}
	local := []string{"example/hello:local"}
	for where, pusher := range e.both(t) {
		for name, want := range map[string]rewrite.Presence{
			"example/helo:local":                 {Similar: local, Typo: true},
			"example/hello:locl":                 {Similar: local, Typo: true},
			"example/hello":                      {Similar: []string{"example/hello:dev", "example/hello:local", "example/hello:v1"}}, // and v2
			"other/hello:local":                  {Similar: []string{"example/hello:local", registryHost + "/own/hello:local"}},
			registryHost + "/example/helo:local": {Similar: local, Typo: true},
			registryHost + "/own/helo:local":     {Similar: []string{registryHost + "/own/hello:local"}, Typo: true},
			"mono:8":                             {Similar: []string{"mongo:8"}}, // mongo was pulled, and mono exists, too
			"mongo:7":                            {Similar: []string{"mongo:8"}},
			"registry.k8s.io/pause:3.10":         {},
			"example/helo@" + digest.FromString("any").String(): {},
		} {
			got, err := pusher.Lookup(t.Context(), rewritetest.Name(t, name))
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("%s: Lookup(%q): error %v, (-want +got):\n%s", where, name, err, diff)
			}
		}
	}
}

func TestLookup_SuggestsNoRemovedTag(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.engine.Tag("docker.io/example/hello:local", dockertest.NewImage("a", dockertest.Layer("one")))
	wanted := rewritetest.Name(t, "example/helo:local")
	if found, err := e.service.Lookup(t.Context(), wanted); err != nil || !found.Typo {
		t.Fatalf("Lookup = %+v (error %v), want a typing error", found, err)
	}
	e.engine.Untag("docker.io/example/hello:local")
	if found, err := e.service.Lookup(t.Context(), wanted); err != nil || found.Typo || len(found.Similar) > 0 {
		t.Errorf("Lookup after the tag was removed = %+v (error %v), want no suggestion", found, err)
	}
}

func TestLookup_WaitsLittleForTheListOfTags(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.engine.Tag("docker.io/example/hello:local", dockertest.NewImage("a", dockertest.Layer("one")))
	answers := make(chan struct{})
	e.engine.HoldLists(answers)
	wanted := rewritetest.Name(t, "example/helo:local")
	start := time.Now()
	found, err := e.service.Lookup(t.Context(), wanted)
	if took := time.Since(start); err != nil || found.Typo || took > time.Second {
		t.Errorf("Lookup = %+v (error %v) after %s, want no suggestion within a second", found, err, took)
	}
	close(answers)
	for !found.Typo { // until the list that the first lookup has begun is complete
		if found, err = e.service.Lookup(t.Context(), wanted); err != nil {
			t.Fatal(err)
		}
	}
}

func BenchmarkLookup_NotOnHost(b *testing.B) {
	e := newEnv(b)
	for i := range 500 {
		e.engine.Tag("docker.io/example/service-"+string(rune('a'+i%26))+":"+digest.FromString(string(rune(i))).Encoded()[:8],
			dockertest.NewImage("a", dockertest.Layer("one")))
	}
	name := rewritetest.Name(b, "registry.k8s.io/pause:3.10")
	for b.Loop() {
		if _, err := e.service.Lookup(b.Context(), name); err != nil {
			b.Fatal(err)
		}
	}
}
