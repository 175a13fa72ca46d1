package delivery

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"kind-local-registry/internal/rewrite"
	"kind-local-registry/webhook"
)

func TestMissingEvent_HasOneNameForEachPodAndImage(t *testing.T) {
	t.Parallel()
	named := func(uid types.UID, path, image string) string {
		pod := gatedPod()
		pod.UID = uid
		o := webhook.Outcome{Decision: rewrite.Unchanged(image, rewrite.NotOnHost, "")}
		o.Field.Path = path
		return missingEvent(pod, o).Name
	}
	first := named("one", "spec.containers{a}", "x:1")
	if second := named("one", "spec.containers{b}", "x:1"); second != first {
		t.Errorf("names of the Events about one image = %s, %s, want the same", first, second)
	}
	for _, other := range []string{named("one", "spec.containers{a}", "x:2"), named("another", "spec.containers{a}", "x:1")} {
		if other == first {
			t.Errorf("name of the Event about another pod or image = %s, want another", other)
		}
	}
}

func TestMissingEvent_SuggestsSimilarTags(t *testing.T) {
	t.Parallel()
	decision := rewrite.Unchanged("example/helo:local", rewrite.NotOnHost, "")
	if got, want := missingEvent(gatedPod(), webhook.Outcome{Decision: decision}).Note, "The host has no example/helo:local"; got != want {
		t.Errorf("note = %q, want %q", got, want)
	}
	decision.Similar = []string{"example/hello:local"}
	want := "The host has no example/helo:local; did you mean example/hello:local?"
	if got := missingEvent(gatedPod(), webhook.Outcome{Decision: decision}).Note; got != want {
		t.Errorf("note = %q, want %q", got, want)
	}
	decision.Similar = []string{strings.Repeat("x", 5000)}
	if got := missingEvent(gatedPod(), webhook.Outcome{Decision: decision}).Note; len(got) > 1024 { // the API server's limit
		t.Errorf("the note has %d bytes, want at most 1024", len(got))
	}
}
