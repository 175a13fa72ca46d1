package host

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/image"

	"kind-local-registry/config"
)

func TestLocalImages_AreTheTaggedOnesThatAPodMayWant(t *testing.T) {
	t.Parallel()
	held := []image.Summary{
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
	if diff := cmp.Diff(want, localImages(held, "localhost:5001")); diff != "" {
		t.Error(diff)
	}
}
