package rewrite_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kind-local-registry/internal/rewrite"
)

const imageID = "sha256:fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"

func TestWithBuild_AppendsImageIDToTag(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 116)
	for name, tt := range map[string]struct{ ref, id, want string }{
		"a tag":                   {"localhost:5001/a/b:local", imageID, "localhost:5001/a/b:local-fedcba987654"},
		"an unknown image ID":     {"localhost:5001/a/b:local", "", "localhost:5001/a/b:local"},
		"a tag of 128 characters": {"localhost:5001/a:" + long[1:], imageID, "localhost:5001/a:" + long[1:] + "-fedcba987654"},
		"a tag of 129 characters": {"localhost:5001/a:" + long, imageID, "localhost:5001/a:" + long},
	} {
		if got := rewrite.WithBuild(tt.ref, tt.id); got != tt.want {
			t.Errorf("%s: WithBuild(%q, %q) = %q, want %q", name, tt.ref, tt.id, got, tt.want)
		}
	}
}

func TestIsBuildOf_RejectsOtherTags(t *testing.T) {
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

func TestBuild_SplitsTagAndImageID(t *testing.T) {
	t.Parallel()
	name := parsed(t, rewrite.WithBuild("localhost:5001/a/b:local", imageID))
	image, idPrefix, ok := name.Build()
	if !ok || image.String() != "localhost:5001/a/b:local" || idPrefix != "fedcba987654" {
		t.Errorf("Build = %s, %s, %v", image, idPrefix, ok)
	}
	for _, other := range []string{"a", "a:1", "a:fedcba987654", "a:1-fedcba987654@" + imageID} {
		if _, _, ok := parsed(t, other).Build(); ok {
			t.Errorf("Build of %s = ok, want not", other)
		}
	}
}

func TestAliases_ReturnsOriginalNames(t *testing.T) {
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

func parsed(t *testing.T, ref string) rewrite.Name {
	t.Helper()
	name, err := rewrite.Parse(ref)
	if err != nil {
		t.Fatal(err)
	}
	return name
}
