package rewrite_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kind-local-registry/internal/rewrite"
)

const otherDigest = "sha256:fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"

func TestDecide_GivesEachImageOneReason(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		image       string
		leavePulled bool
		held        rewrite.Presence
		reason      rewrite.Reason
		want        string // "" for the image as it is written
	}{
		"the registry holds the host's build": {
			image: "a/b:local", held: rewrite.Presence{OnHost: true, Digest: someDigest, Served: someDigest},
			reason: rewrite.Rewritten, want: "localhost:5001/a/b:local@" + someDigest,
		},
		"the registry holds an older build": {
			image: "a/b:local", held: rewrite.Presence{OnHost: true, Served: otherDigest},
			reason: rewrite.RewrittenPushing, want: "localhost:5001/a/b:local",
		},
		"only the host has it": {
			image: "nginx", held: rewrite.Presence{OnHost: true},
			reason: rewrite.RewrittenPushing, want: "localhost:5001/nginx:latest",
		},
		"only the registry has it": {
			image: "a/b:local", held: rewrite.Presence{Served: someDigest}, reason: rewrite.NotOnHost,
		},
		"nobody has it": {image: "a/b:local", reason: rewrite.NotOnHost},
		"the host's build cannot be pushed": {
			image: "a/b:local", held: rewrite.Presence{OnHost: true, Refusal: rewrite.WrongPlatform, Detail: "it is for windows"},
			reason: rewrite.WrongPlatform,
		},
		"the registry holds the digest that is asked for": {
			image: "a/b:1@" + someDigest, held: rewrite.Presence{Digest: someDigest, Served: someDigest},
			reason: rewrite.Rewritten, want: "localhost:5001/a/b:1@" + someDigest,
		},
		"nobody holds the digest that is asked for": {
			image: "a/b@" + someDigest, held: rewrite.Presence{OnHost: true}, reason: rewrite.DigestNotHeld,
		},
		"it names the registry, which serves it": {
			image: "localhost:5001/a:1", held: rewrite.Presence{Served: someDigest}, reason: rewrite.AlreadyLocal,
		},
		"it names the registry, which lacks it": {
			image: "localhost:5001/a:1", held: rewrite.Presence{OnHost: true}, reason: rewrite.AlreadyLocalPushing,
		},
		"it names the registry, and nobody has it": {image: "localhost:5001/a:1", reason: rewrite.NotOnHost},
		"it names the registry by a digest that is not there": {
			image: "localhost:5001/a@" + someDigest, reason: rewrite.DigestNotHeld,
		},
		"it names the registry, and the host's build cannot be pushed": {
			image: "localhost:5001/a:1", held: rewrite.Presence{OnHost: true, Refusal: rewrite.Unservable},
			reason: rewrite.Unservable,
		},
		"it was pulled, and pulled images are left alone": {
			image: "nginx", leavePulled: true, held: rewrite.Presence{OnHost: true, Pulled: true, Digest: someDigest},
			reason: rewrite.AlwaysUpstream,
		},
		"it was pulled, and it matters not": {
			image: "nginx", held: rewrite.Presence{OnHost: true, Pulled: true},
			reason: rewrite.RewrittenPushing, want: "localhost:5001/nginx:latest",
		},
		"it was built, and pulled images are left alone": {
			image: "nginx", leavePulled: true, held: rewrite.Presence{OnHost: true},
			reason: rewrite.RewrittenPushing, want: "localhost:5001/nginx:latest",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := rewrite.Decision{Image: tt.image, Rewritten: tt.image, Reason: tt.reason}
			if tt.want != "" {
				want.Rewritten = tt.want
			}
			if tt.held.Refusal != "" {
				want.Detail = tt.held.Detail
			}
			if tt.reason == rewrite.Rewritten {
				want.Digest = someDigest
			}
			question := rewrite.Question{Image: tt.image, RegistryHost: registryHost, LeavePulled: tt.leavePulled}
			got := rewrite.Decide(question, func(rewrite.Name) (rewrite.Presence, error) { return tt.held, nil })
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("Decide(%q) (-want +got):\n%s", tt.image, diff)
			}
		})
	}
}

func TestDecide_LeavesAnImageAloneThatNobodyCouldSayAnythingOf(t *testing.T) {
	t.Parallel()
	got := rewrite.Decide(ask("a/b:local"), func(rewrite.Name) (rewrite.Presence, error) {
		return rewrite.Presence{}, errors.New("no route to host")
	})
	want := rewrite.Decision{
		Image: "a/b:local", Rewritten: "a/b:local", Reason: rewrite.LookupUnavailable, Detail: "no route to host",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Decide (-want +got):\n%s", diff)
	}
}

func TestDecide_AsksNobodyAboutWhatHasNoPlaceInTheRegistry(t *testing.T) {
	t.Parallel()
	for image, want := range map[string]rewrite.Reason{
		"not an image": rewrite.InvalidReference,
		"HOST/image":   rewrite.Unmappable,
	} {
		got := rewrite.Decide(ask(image), func(name rewrite.Name) (rewrite.Presence, error) {
			t.Errorf("asked about %s", name)
			return rewrite.Presence{}, nil
		})
		if got.Reason != want || got.Changed() || got.Detail == "" {
			t.Errorf("Decide(%q) = %+v, want it unchanged, with the reason %s and a detail", image, got, want)
		}
	}
}

func TestDecide_SaysWhyALookUpWasRefused(t *testing.T) {
	t.Parallel()
	got := rewrite.Decide(ask("a/b:local"), func(rewrite.Name) (rewrite.Presence, error) {
		return rewrite.Presence{}, fmt.Errorf("asking: %w", &rewrite.Refusal{Reason: rewrite.ExcludedByRule, Detail: "a rule"})
	})
	if got.Reason != rewrite.ExcludedByRule || got.Detail != "a rule" || got.Changed() {
		t.Errorf("Decide = %+v, want it unchanged, with the refusal's reason and detail", got)
	}
}

func TestDecide_AsksNobodyAboutWhatARuleLeavesAlone(t *testing.T) {
	t.Parallel()
	question := ask("nginx")
	question.ExcludedBy = func(name rewrite.Name) string { return "rule for " + name.String() }
	got := rewrite.Decide(question, func(name rewrite.Name) (rewrite.Presence, error) {
		t.Errorf("asked about %s", name)
		return rewrite.Presence{}, nil
	})
	want := rewrite.Unchanged("nginx", rewrite.ExcludedByRule, "rule for docker.io/library/nginx:latest")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Decide (-want +got):\n%s", diff)
	}
}

func TestAfterPush_DecidesAsALaterLookup(t *testing.T) {
	t.Parallel()
	for _, image := range []string{"a/b:local", "localhost:5001/a:1"} {
		onHost := func(rewrite.Name) (rewrite.Presence, error) { return rewrite.Presence{OnHost: true}, nil }
		inRegistry := func(rewrite.Name) (rewrite.Presence, error) {
			return rewrite.Presence{OnHost: true, Digest: someDigest, Served: someDigest}, nil
		}
		got, err := rewrite.Decide(ask(image), onHost).AfterPush(someDigest, nil)
		want := rewrite.Decide(ask(image), inRegistry)
		if err != nil || got.Rewritten != want.Rewritten || got.Reason != want.Reason {
			t.Errorf("AfterPush of Decide(%q) = %+v, %v, want %+v", image, got, err, want)
		}
	}
}

func TestAfterPush_TellsRefusalsFromOtherErrors(t *testing.T) {
	t.Parallel()
	pushing := rewrite.Decision{Image: "a:1", Rewritten: "localhost:5001/a:1", Reason: rewrite.RewrittenPushing}
	got, err := pushing.AfterPush("", fmt.Errorf("pushing: %w", &rewrite.Refusal{Reason: rewrite.NoSpace, Detail: "full"}))
	if want := rewrite.Unchanged("a:1", rewrite.NoSpace, "full"); err != nil || got != want {
		t.Errorf("AfterPush of a refusal = %+v, %v, want %+v", got, err, want)
	}
	if got, err = pushing.AfterPush("", errors.ErrUnsupported); !errors.Is(err, errors.ErrUnsupported) || got != pushing {
		t.Errorf("AfterPush of an error = %+v, %v, want %+v and the error", got, err, pushing)
	}
}

func BenchmarkDecide(b *testing.B) {
	lookup := func(rewrite.Name) (rewrite.Presence, error) {
		return rewrite.Presence{OnHost: true, Digest: someDigest}, nil
	}
	for b.Loop() {
		rewrite.Decide(ask("laconicnetwork/agave:local"), lookup)
	}
}

// ask returns the plain question about an image.
func ask(image string) rewrite.Question {
	return rewrite.Question{Image: image, RegistryHost: registryHost}
}
