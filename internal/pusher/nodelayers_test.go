package pusher_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kind-local-registry/internal/docker/dockertest"
	"kind-local-registry/internal/link/linkapi"
	"kind-local-registry/internal/rewrite"
	"kind-local-registry/internal/rules"
)

func TestNodeLayers_AreThoseOfTheLinker(t *testing.T) {
	t.Parallel()
	by := &linker{state: linkapi.State{Unlinkable: linkapi.LinkRefused, Detail: "in a test"}}
	e := newPromising(t, by, excluding("excluded/**"))
	e.build(t, "first")
	want := []linkapi.NodeLayers{{Node: linkapi.Node{Name: "kind-worker", Cluster: "kind", State: by.state}, Layers: 2, Present: 1}}
	for where, api := range e.both(t) {
		got, err := api.NodeLayers(t.Context(), "a/b:1")
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: NodeLayers: error %v, (-want +got):\n%s", where, err, diff)
		}
		for name, reason := range map[string]rewrite.Reason{
			"nothing:1": rewrite.NotOnHost, "not a reference": rewrite.InvalidReference, "excluded/a:1": rewrite.ExcludedByRule,
		} {
			_, err := api.NodeLayers(t.Context(), name)
			wantRefusal(t, err, reason)
		}
	}
}

func TestNodeLayers_ReturnsErrorOfTheLinker(t *testing.T) {
	t.Parallel()
	e := newPromising(t, &linker{err: errors.New("in a test")}, rules.Rules{})
	e.build(t, "first")
	for where, api := range e.both(t) {
		if got, err := api.NodeLayers(t.Context(), "a/b:1"); err == nil || !strings.Contains(err.Error(), "in a test") {
			t.Errorf("%s: NodeLayers = %v, %v, want the linker's error", where, got, err)
		}
	}
}

func TestNodeLayers_AreNoneWithoutALinker(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.engine.Tag("docker.io/a/b:1", dockertest.NewImage("a", dockertest.Layer("one")))
	for where, api := range e.both(t) {
		if got, err := api.NodeLayers(t.Context(), "a/b:1"); err != nil || got != nil {
			t.Errorf("%s: NodeLayers = %v, %v, want none and no error", where, got, err)
		}
	}
}
