package rewrite_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kind-local-registry/internal/rewrite"
)

const imageID = "sha256:fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"

func TestWithBuild_NamesOneBuild(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 116)
	for name, tt := range map[string]struct{ ref, id, want string }{
		"a tag":                    {"localhost:5001/a/b:local", imageID, "localhost:5001/a/b:local-fedcba987654"},
		"an unknown image ID":      {"localhost:5001/a/b:local", "", "localhost:5001/a/b:local"},
		"a tag that grows to 128":  {"localhost:5001/a:" + long[1:], imageID, "localhost:5001/a:" + long[1:] + "-fedcba987654"},
		"a tag that grows to more": {"localhost:5001/a:" + long, imageID, "localhost:5001/a:" + long},
	} {
		if got := rewrite.WithBuild(tt.ref, tt.id); got != tt.want {
			t.Errorf("%s: WithBuild(%q, %q) = %q, want %q", name, tt.ref, tt.id, got, tt.want)
		}
	}
}

func TestIsBuildOf_TakesNoOtherTag(t *testing.T) {
	t.Parallel()
	for ref, want := range map[string]bool{
		"localhost:5001/a:1-fedcba987654":  true,
		"localhost:5001/a:1":               false,
		"localhost:5001/a:1-fedcba98765":   false,
		"localhost:5001/a:1-fedcba98765g":  false,
		"localhost:5001/a:10-fedcba987654": false,
		"localhost:5001/a:1.fedcba987654":  false,
		"localhost:5001/b:1-fedcba987654":  false,
	} {
		if got := rewrite.IsBuildOf(ref, "localhost:5001/a:1"); got != want {
			t.Errorf("IsBuildOf(%q) = %v, want %v", ref, got, want)
		}
	}
}

func TestBuild_SplitsItsTag(t *testing.T) {
	t.Parallel()
	name := parsed(t, rewrite.WithBuild("localhost:5001/a/b:local", imageID))
	image, idPrefix, ok := name.Build()
	if !ok || image.String() != "localhost:5001/a/b:local" || idPrefix != "fedcba987654" {
		t.Errorf("Build = %s, %s, %v", image, idPrefix, ok)
	}
	for _, other := range []string{"a", "a:1", "a:fedcba987654", "a:1-fedcba987654@" + imageID} {
		if _, _, ok := parsed(t, other).Build(); ok {
			t.Errorf("%s is taken for the tag of a build", other)
		}
	}
}

func TestAliases_AreWhatALocalNameStandsFor(t *testing.T) {
	t.Parallel()
	for ref, want := range map[string][]string{
		"docker.io/a/b:1":                    nil,
		"localhost:5001/a/b:1":               {"docker.io/a/b:1"},
		"localhost:5001/ghcr.io/a/b:1":       {"ghcr.io/a/b:1"},
		"localhost:5001/nginx@" + imageID:    {"docker.io/library/nginx@" + imageID},
		"localhost:5001/a/b:1-fedcba987654":  {"docker.io/a/b:1-fedcba987654", "localhost:5001/a/b:1", "docker.io/a/b:1"},
		"localhost:5001/r.corp__5000/b:late": {"r.corp:5000/b:late"},
	} {
		var got []string
		for _, alias := range parsed(t, ref).Aliases("localhost:5001") {
			got = append(got, alias.String())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Aliases of %s (-want +got):\n%s", ref, diff)
		}
	}
}

func TestTarget_FitsTheKubelet(t *testing.T) {
	t.Parallel()
	const registryHost = "localhost:5001"
	for length, want := range map[int]bool{255 - len(registryHost) - 1: true, 255 - len(registryHost): false} {
		path := "a/" + strings.Repeat("b", length-2)
		_, err := parsed(t, path).Target(registryHost)
		if got := err == nil; got != want {
			t.Errorf("a repository of %d characters: %v, want it mapped: %v", length, err, want)
		}
	}
}

func TestDecide_TakesFromTheRegistryWhatTheHostLost(t *testing.T) {
	t.Parallel()
	served := func(rewrite.Name) (rewrite.Presence, error) { return rewrite.Presence{Served: imageID}, nil }
	question := ask("a/b:1")
	if got := rewrite.Decide(question, served); got.Reason != rewrite.NotOnHost || got.Changed() {
		t.Errorf("at admission: %+v, want %s", got, rewrite.NotOnHost)
	}
	question.FromRegistry = true
	if got, want := rewrite.Decide(question, served), "localhost:5001/a/b:1@"+imageID; got.Reason != rewrite.Rewritten || got.Rewritten != want {
		t.Errorf("when it heals: %+v, want %s", got, want)
	}
	if got := rewrite.Decide(question, func(rewrite.Name) (rewrite.Presence, error) { return rewrite.Presence{}, nil }); got.Reason != rewrite.NotOnHost {
		t.Errorf("without the registry: %+v, want %s", got, rewrite.NotOnHost)
	}
}

func TestByBuild_IsForWhatIsPushedOnly(t *testing.T) {
	t.Parallel()
	pushing := rewrite.Decision{Image: "a:1", Rewritten: "localhost:5001/a:1", ImageID: imageID, Reason: rewrite.RewrittenPushing}
	if got, want := pushing.ByBuild().Rewritten, "localhost:5001/a:1-fedcba987654"; got != want || pushing.Pushes() != want {
		t.Errorf("ByBuild, Pushes = %q, %q, want %q", got, pushing.Pushes(), want)
	}
	pushing.ImageID = ""
	if got := pushing.Pushes(); got != "a:1" {
		t.Errorf("Pushes without an image ID = %q, want a:1", got)
	}
	unchanged := rewrite.Unchanged("localhost:5001/a:1", rewrite.AlreadyLocalPushing, "")
	if got := unchanged.ByBuild(); got != unchanged || unchanged.Pushes() != unchanged.Image {
		t.Errorf("ByBuild of %+v = %+v", unchanged, got)
	}
}

func parsed(t *testing.T, ref string) rewrite.Name {
	t.Helper()
	name, err := rewrite.Parse(ref)
	if err != nil {
		t.Fatal(err)
	}
	return name
}
