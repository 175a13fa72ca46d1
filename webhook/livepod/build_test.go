package livepod

import (
	"context"
	"errors"
	"testing"

	"kind-local-registry/internal/link/linkapi"
	"kind-local-registry/internal/rewrite"
)

const registryHost = "localhost:5001"

// hostImages is a Pusher that knows the presences of images by their normalised names.
type hostImages map[string]rewrite.Presence

// Lookup implements Pusher.
func (h hostImages) Lookup(_ context.Context, name rewrite.Name) (rewrite.Presence, error) {
	return h[name.String()], nil
}

// NodeLayers implements Pusher.
func (h hostImages) NodeLayers(context.Context, string) ([]linkapi.NodeLayers, error) {
	return nil, errors.New("layers are not linked")
}

func TestCompare_FindsWhetherTheHostHasANewerBuild(t *testing.T) {
	t.Parallel()
	const original, pinned = "a:1", registryHost + "/a:1@"
	now := func(reason rewrite.Reason) *rewrite.Decision { return &rewrite.Decision{Reason: reason} }
	registered := rewrite.Presence{OnHost: true, ImageID: twoDigest, Digest: oneDigest, Served: oneDigest}
	unpushed := rewrite.Presence{OnHost: true, ImageID: twoDigest}
	for name, test := range map[string]struct {
		image    Image
		presence rewrite.Presence
		complete bool // whether the registry has the digest that the pod runs
		want     Build
	}{
		"the same build": {Image{Rewritten: true, Digest: oneDigest, Now: now(rewrite.Rewritten)}, registered, true, Current},
		"another build that the registry has": {
			Image{Rewritten: true, Digest: twoDigest + "0", Now: now(rewrite.Rewritten)}, registered, true, Newer,
		},
		"another build that only the host has": {
			Image{Rewritten: true, Digest: oneDigest, Now: now(rewrite.RewrittenPushing)}, unpushed, true, Newer,
		},
		"a promise":                                        {Image{Rewritten: true, Digest: oneDigest, Now: now(rewrite.RewrittenPushing)}, unpushed, false, Pushing},
		"a gated pod":                                      {Image{Rewritten: true, Waits: true, Now: now(rewrite.RewrittenPushing)}, unpushed, false, Pushing},
		"the original image, but not the host's":           {Image{Digest: "sha256:3", Now: now(rewrite.Rewritten)}, registered, false, NotUsed},
		"the original image, from kind load":               {Image{Digest: twoDigest, Now: now(rewrite.Rewritten)}, registered, false, Current},
		"an image that the host has lost":                  {Image{Rewritten: true, Digest: oneDigest, Now: now(rewrite.NotOnHost)}, rewrite.Presence{}, true, Absent},
		"an image that cannot be pushed":                   {Image{Now: now(rewrite.Unservable)}, rewrite.Presence{OnHost: true, Refusal: rewrite.Unservable}, false, Refused},
		"a reference to the registry that has not started": {Image{Rewritten: true, Now: now(rewrite.AlreadyLocal)}, registered, false, Current},
		"a lookup that failed":                             {Image{Now: now(rewrite.LookupUnavailable)}, rewrite.Presence{}, false, Unknown},
	} {
		host := hostImages{"docker.io/library/a:1": test.presence}
		if test.complete {
			host[pinned+test.image.Digest] = rewrite.Presence{Digest: test.image.Digest, Served: test.image.Digest}
		}
		test.image.Original, test.image.registryHost = original, registryHost
		asked := &answers{pusher: host, byName: map[rewrite.Name]rewrite.Presence{}}
		parsed, err := rewrite.Parse(original)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := asked.Lookup(t.Context(), parsed); err != nil {
			t.Fatal(err)
		}
		if got := asked.compare(t.Context(), &test.image); got != test.want {
			t.Errorf("%s: compare = %s, want %s", name, got, test.want)
		}
	}
}

func TestCompare_LooksUpNothingThatTheDecisionDidNot(t *testing.T) {
	t.Parallel()
	asked := &answers{pusher: hostImages{}, byName: map[rewrite.Name]rewrite.Presence{}}
	for _, original := range []string{"a:1", "Not/An-Image"} {
		image := Image{Original: original, Now: &rewrite.Decision{Reason: rewrite.OptedOut}}
		if got := asked.compare(t.Context(), &image); got != NotLookedUp {
			t.Errorf("compare of %s = %s, want %s", original, got, NotLookedUp)
		}
	}
}
