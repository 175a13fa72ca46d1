package images

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/image"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/engine"
	"kind-local-registry/internal/host/engine/enginetest"
)

func TestNames_AreThoseThatPodsMayWant(t *testing.T) {
	t.Parallel()
	all := []image.Summary{
		{RepoTags: []string{"nginx:1.29", "example/web:local"}},
		{RepoTags: []string{"example/app:local"}, RepoDigests: []string{"example/app@sha256:aa"}},
		{RepoTags: []string{"localhost:5001/example/app:local"}},
		{RepoTags: []string{"localhost:5000/example/app:local"}},
		{RepoTags: []string{"<none>:<none>"}},
		{RepoDigests: []string{"golang@sha256:aa"}},
		{RepoTags: []string{"kindest/node:v1.35.0", "kindest/nodes:1"}},
		{RepoTags: []string{config.RegistryImage + ":dev", config.WebhookImage + ":dev"}},
		{RepoTags: []string{"example/labelled:1"}, Labels: map[string]string{config.Label: "registry"}},
	}
	want := []string{"example/app:local", "example/web:local", "kindest/nodes:1", "localhost:5000/example/app:local", "nginx:1.29"}
	if diff := cmp.Diff(want, names(all, "localhost:5001")); diff != "" {
		t.Error(diff)
	}
}

func TestLocal_LeavesOutTheImagesOfNodes(t *testing.T) {
	t.Parallel()
	daemon := enginetest.New(t)
	daemon.AddImage("example/app:local", "sha256:app")
	daemon.AddImage("example/node:own", "sha256:node")
	daemon.AddContainer("kind-control-plane", map[string]string{config.ClusterLabel: "kind"}).Image = "sha256:node"
	daemon.AddContainer("web", nil).Image = "sha256:app"
	docker, err := engine.OpenAt(t.Context(), daemon.Host())
	if err != nil {
		t.Fatal(err)
	}
	got, err := Local(t.Context(), docker, "localhost:5001")
	if err != nil || !slices.Equal(got, []string{"example/app:local"}) {
		t.Errorf("Local = %q, %v; want example/app:local alone", got, err)
	}
}
