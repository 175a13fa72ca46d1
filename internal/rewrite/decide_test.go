package rewrite_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kind-local-registry/internal/rewrite"
)

const otherDigest = "sha256:fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"

func TestDecide_ReturnsReferenceAndReason(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		image       string
		leavePulled bool
		presence    rewrite.Presence
		reason      rewrite.Reason
		want        string // "" means the original image
	}{
		"the registry has the host's build": {
			image: "a/b:local", presence: rewrite.Presence{OnHost: true, Digest: someDigest, Served: someDigest},
			reason: rewrite.Rewritten, want: "localhost:5001/a/b:local@" + someDigest,
		},
		"the registry has an older build": {
			image: "a/b:local", presence: rewrite.Presence{OnHost: true, Served: otherDigest},
			reason: rewrite.RewrittenPushing, want: "localhost:5001/a/b:local",
		},
		"only the host has it": {
			image: "nginx", presence: rewrite.Presence{OnHost: true},
			reason: rewrite.RewrittenPushing, want: "localhost:5001/nginx:latest",
		},
		"only the registry has it": {
			image: "a/b:local", presence: rewrite.Presence{Served: someDigest}, reason: rewrite.NotOnHost,
		},
		"neither has it": {image: "a/b:local", reason: rewrite.NotOnHost},
		"neither has it, and the host has a similar tag": {
			image: "a/b:locl", presence: rewrite.Presence{Similar: []string{"a/b:local"}, Typo: true}, reason: rewrite.NotOnHost,
		},
		"the host's build cannot be pushed": {
			image: "a/b:local", presence: rewrite.Presence{OnHost: true, Refusal: rewrite.WrongPlatform, Detail: "it is for windows"},
			reason: rewrite.WrongPlatform,
		},
		"the registry has the digest": {
			image: "a/b:1@" + someDigest, presence: rewrite.Presence{Digest: someDigest, Served: someDigest},
			reason: rewrite.Rewritten, want: "localhost:5001/a/b:1@" + someDigest,
		},
		"neither has the digest": {
			image: "a/b@" + someDigest, presence: rewrite.Presence{OnHost: true}, reason: rewrite.DigestNotHeld,
		},
		"it names the registry, which serves it": {
			image: "localhost:5001/a:1", presence: rewrite.Presence{Served: someDigest}, reason: rewrite.AlreadyLocal,
		},
		"it names the registry, which lacks it": {
			image: "localhost:5001/a:1", presence: rewrite.Presence{OnHost: true}, reason: rewrite.AlreadyLocalPushing,
		},
		"it names the registry, and neither has it": {image: "localhost:5001/a:1", reason: rewrite.NotOnHost},
		"it names the registry, which lacks the digest": {
			image: "localhost:5001/a@" + someDigest, reason: rewrite.DigestNotHeld,
		},
		"it names the registry, and the host's build cannot be pushed": {
			image: "localhost:5001/a:1", presence: rewrite.Presence{OnHost: true, Refusal: rewrite.Unservable},
			reason: rewrite.Unservable,
		},
		"it was pulled, and LeavePulled is set": {
			image: "nginx", leavePulled: true, presence: rewrite.Presence{OnHost: true, Pulled: true, Digest: someDigest},
			reason: rewrite.AlwaysUpstream,
		},
		"it was pulled, and LeavePulled is not set": {
			image: "nginx", presence: rewrite.Presence{OnHost: true, Pulled: true},
			reason: rewrite.RewrittenPushing, want: "localhost:5001/nginx:latest",
		},
		"it was built, and LeavePulled is set": {
			image: "nginx", leavePulled: true, presence: rewrite.Presence{OnHost: true},
			reason: rewrite.RewrittenPushing, want: "localhost:5001/nginx:latest",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := rewrite.Decision{Image: tt.image, Rewritten: tt.image, Reason: tt.reason}
			if tt.want != "" {
				want.Rewritten = tt.want
			}
			if tt.presence.Refusal != "" {
				want.Detail = tt.presence.Detail
			}
			if tt.reason == rewrite.Rewritten {
				want.Digest = someDigest
			}
			if tt.presence.Typo {
				want.Detail, want.Similar, want.Typo = "did you mean a/b:local?", tt.presence.Similar, true
			}
			question := rewrite.Question{Image: tt.image, RegistryHost: registryHost, LeavePulled: tt.leavePulled}
			got := rewrite.Decide(question, func(rewrite.Name) (rewrite.Presence, error) { return tt.presence, nil })
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("Decide(%q) (-want +got):\n%s", tt.image, diff)
			}
		})
	}
}

func TestDecide_KeepsImageIfLookupFails(t *testing.T) {
	t.Parallel()
	got := rewrite.Decide(newQuestion("a/b:local"), func(rewrite.Name) (rewrite.Presence, error) {
		return rewrite.Presence{}, errors.New("no route to host")
	})
	want := rewrite.Decision{
		Image: "a/b:local", Rewritten: "a/b:local", Reason: rewrite.LookupUnavailable, Detail: "no route to host",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Decide (-want +got):\n%s", diff)
	}
}

func TestDecide_NeverLooksUpUnmappableImages(t *testing.T) {
	t.Parallel()
	for image, want := range map[string]rewrite.Reason{
		"not an image": rewrite.InvalidReference,
		"HOST/image":   rewrite.Unmappable,
	} {
		got := rewrite.Decide(newQuestion(image), func(name rewrite.Name) (rewrite.Presence, error) {
			t.Errorf("Lookup(%s) called", name)
			return rewrite.Presence{}, nil
		})
		if got.Reason != want || got.Changed() || got.Detail == "" {
			t.Errorf("Decide(%q) = %+v, want it unchanged, with the reason %s and a detail", image, got, want)
		}
	}
}

func TestDecide_ReturnsReasonOfRefusedLookup(t *testing.T) {
	t.Parallel()
	got := rewrite.Decide(newQuestion("a/b:local"), func(rewrite.Name) (rewrite.Presence, error) {
		return rewrite.Presence{}, fmt.Errorf("asking: %w", &rewrite.Refusal{Reason: rewrite.ExcludedByRule, Detail: "a rule"})
	})
	if got.Reason != rewrite.ExcludedByRule || got.Detail != "a rule" || got.Changed() {
		t.Errorf("Decide = %+v, want it unchanged, with the refusal's reason and detail", got)
	}
}

func TestDecide_NeverLooksUpExcludedImages(t *testing.T) {
	t.Parallel()
	question := newQuestion("nginx")
	question.ExcludedBy = func(name rewrite.Name) string { return "rule for " + name.String() }
	got := rewrite.Decide(question, func(name rewrite.Name) (rewrite.Presence, error) {
		t.Errorf("Lookup(%s) called", name)
		return rewrite.Presence{}, nil
	})
	want := rewrite.Unchanged("nginx", rewrite.ExcludedByRule, "rule for docker.io/library/nginx:latest")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Decide (-want +got):\n%s", diff)
	}
}

func BenchmarkDecide(b *testing.B) {
	lookup := func(rewrite.Name) (rewrite.Presence, error) {
		return rewrite.Presence{OnHost: true, Digest: someDigest}, nil
	}
	for b.Loop() {
		rewrite.Decide(newQuestion("laconicnetwork/agave:local"), lookup)
	}
}

// newQuestion returns a question about image. All optional fields are unset.
func newQuestion(image string) rewrite.Question {
	return rewrite.Question{Image: image, RegistryHost: registryHost}
}

func TestDecide_UsesServedImageOnlyFromRegistry(t *testing.T) {
	t.Parallel()
	served := func(rewrite.Name) (rewrite.Presence, error) { return rewrite.Presence{Served: imageID}, nil }
	question := newQuestion("a/b:1")
	if got := rewrite.Decide(question, served); got.Reason != rewrite.NotOnHost || got.Changed() {
		t.Errorf("Decide at admission = %+v, want %s", got, rewrite.NotOnHost)
	}
	question.FromRegistry = true
	if got, want := rewrite.Decide(question, served), "localhost:5001/a/b:1@"+imageID; got.Reason != rewrite.Rewritten || got.Rewritten != want {
		t.Errorf("Decide with FromRegistry = %+v, want %s", got, want)
	}
	if got := rewrite.Decide(question, func(rewrite.Name) (rewrite.Presence, error) { return rewrite.Presence{}, nil }); got.Reason != rewrite.NotOnHost {
		t.Errorf("Decide with FromRegistry, image missing = %+v, want %s", got, rewrite.NotOnHost)
	}
}

func TestDecide_UsesImageFromArchiveUnlessHostHasOne(t *testing.T) {
	t.Parallel()
	archived := rewrite.Presence{Served: imageID, Archive: true}
	lookup := func(rewrite.Name) (rewrite.Presence, error) { return archived, nil }
	got, want := rewrite.Decide(newQuestion("a/b:1"), lookup), "localhost:5001/a/b:1@"+imageID
	if got.Reason != rewrite.Rewritten || got.Rewritten != want || got.Detail == "" {
		t.Errorf("Decide = %+v, want %s and a detail", got, want)
	}
	archived.OnHost = true
	if got := rewrite.Decide(newQuestion("a/b:1"), lookup); got.Reason != rewrite.RewrittenPushing {
		t.Errorf("Decide with another build on the host = %+v, want %s", got, rewrite.RewrittenPushing)
	}
}
