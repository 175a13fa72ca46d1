package rewrite_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kind-local-registry/webhook/rewrite"
)

const otherDigest = "sha256:fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"

func TestDecide_GivesEachImageOneReason(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		image  string
		held   rewrite.Presence
		reason rewrite.Reason
		want   string // "" for the image as it is written
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
			image: "a/b:local", held: rewrite.Presence{OnHost: true, Refusal: rewrite.WrongPlatform},
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
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := rewrite.Decision{Image: tt.image, Rewritten: tt.image, Reason: tt.reason}
			if tt.want != "" {
				want.Rewritten = tt.want
			}
			if tt.reason == rewrite.Rewritten {
				want.Digest = someDigest
			}
			got := rewrite.Decide(tt.image, registryHost, func(rewrite.Name) (rewrite.Presence, error) { return tt.held, nil })
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("Decide(%q) (-want +got):\n%s", tt.image, diff)
			}
		})
	}
}

func TestDecide_LeavesAnImageAloneThatNobodyCouldSayAnythingOf(t *testing.T) {
	t.Parallel()
	got := rewrite.Decide("a/b:local", registryHost, func(rewrite.Name) (rewrite.Presence, error) {
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
		got := rewrite.Decide(image, registryHost, func(name rewrite.Name) (rewrite.Presence, error) {
			t.Errorf("asked about %s", name)
			return rewrite.Presence{}, nil
		})
		if got.Reason != want || got.Changed() || got.Detail == "" {
			t.Errorf("Decide(%q) = %+v, want it unchanged, with the reason %s and a detail", image, got, want)
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	lookup := func(rewrite.Name) (rewrite.Presence, error) {
		return rewrite.Presence{OnHost: true, Digest: someDigest}, nil
	}
	for b.Loop() {
		rewrite.Decide("laconicnetwork/agave:local", registryHost, lookup)
	}
}
