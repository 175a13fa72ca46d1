package rewrite_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kind-local-registry/internal/rewrite"
)

func TestByBuild_ChangesOnlyDecisionsToPush(t *testing.T) {
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
	if diff := cmp.Diff(unchanged, unchanged.ByBuild()); diff != "" || unchanged.Pushes() != unchanged.Image {
		t.Errorf("ByBuild of %+v, which pushes %s (-want +got):\n%s", unchanged, unchanged.Pushes(), diff)
	}
}

func TestDidYouMean_ListsTheNames(t *testing.T) {
	t.Parallel()
	for want, names := range map[string][]string{
		"": nil, "did you mean a:1?": {"a:1"}, "did you mean a:1 or b:1?": {"a:1", "b:1"}, "did you mean a:1, b:1 or c:1?": {"a:1", "b:1", "c:1"},
	} {
		if got := rewrite.DidYouMean(names); got != want {
			t.Errorf("DidYouMean(%q) = %q, want %q", names, got, want)
		}
	}
}

func TestAfterPush_AgreesWithLaterLookup(t *testing.T) {
	t.Parallel()
	for _, image := range []string{"a/b:local", "localhost:5001/a:1"} {
		onHost := func(rewrite.Name) (rewrite.Presence, error) { return rewrite.Presence{OnHost: true}, nil }
		inRegistry := func(rewrite.Name) (rewrite.Presence, error) {
			return rewrite.Presence{OnHost: true, Digest: someDigest, Served: someDigest}, nil
		}
		got, err := rewrite.Decide(newQuestion(image), onHost).AfterPush(someDigest, nil)
		want := rewrite.Decide(newQuestion(image), inRegistry)
		if err != nil || got.Rewritten != want.Rewritten || got.Reason != want.Reason {
			t.Errorf("AfterPush of Decide(%q) = %+v, %v, want %+v", image, got, err, want)
		}
	}
}

func TestAfterPush_ReturnsErrorsExceptRefusals(t *testing.T) {
	t.Parallel()
	pushing := rewrite.Decision{Image: "a:1", Rewritten: "localhost:5001/a:1", Reason: rewrite.RewrittenPushing}
	got, err := pushing.AfterPush("", fmt.Errorf("pushing: %w", &rewrite.Refusal{Reason: rewrite.NoSpace, Detail: "full"}))
	if diff := cmp.Diff(rewrite.Unchanged("a:1", rewrite.NoSpace, "full"), got); err != nil || diff != "" {
		t.Errorf("AfterPush of a refusal: error %v, (-want +got):\n%s", err, diff)
	}
	got, err = pushing.AfterPush("", errors.ErrUnsupported)
	if diff := cmp.Diff(pushing, got); !errors.Is(err, errors.ErrUnsupported) || diff != "" {
		t.Errorf("AfterPush of an error: error %v, (-want +got):\n%s", err, diff)
	}
}
