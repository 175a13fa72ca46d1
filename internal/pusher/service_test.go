package pusher_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/docker/dockertest"
	"kind-local-registry/internal/push"
	"kind-local-registry/internal/rewrite"
	"kind-local-registry/internal/rewrite/rewritetest"
	"kind-local-registry/internal/rules"
)

func TestLookup_ReportsPresenceBeforeAndAfterAPush(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	first := dockertest.NewImage("first", dockertest.Layer("one"))
	rebuilt := dockertest.NewImage("rebuilt", dockertest.Layer("one"))
	for where, pusher := range e.both(t) {
		name := "a/" + strings.ReplaceAll(where, " ", "-") + ":1"
		want := func(step, name string, want rewrite.Presence) {
			t.Helper()
			got, err := pusher.Lookup(t.Context(), rewritetest.Name(t, name))
			if err != nil {
				t.Fatalf("%s, %s: Lookup(%q): %v", where, step, name, err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, %s: Lookup(%q) (-want +got):\n%s", where, step, name, diff)
			}
		}
		want("at first", name, rewrite.Presence{})
		e.engine.Tag("docker.io/"+name, first)
		want("after a build", name, rewrite.Presence{OnHost: true, ImageID: first.ID().String()})
		result, err := pusher.Push(t.Context(), name, nil)
		if err != nil {
			t.Fatalf("Push(%q): %v", name, err)
		}
		d := result.Digest.String()
		present := rewrite.Presence{OnHost: true, ImageID: first.ID().String(), Digest: d, Served: d}
		want("after the push", name, present)
		want("after the push", registryHost+"/"+name, present)
		want("after the push", name+"@"+d, rewrite.Presence{Digest: d, Served: d})
		want("after the push", name+"@"+digest.FromString("other").String(), rewrite.Presence{})
		e.engine.Tag("docker.io/"+name, rebuilt)
		want("after a rebuild", name, rewrite.Presence{OnHost: true, ImageID: rebuilt.ID().String(), Served: d})
	}
}

func TestLookup_ReportsPulledImages(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.engine.SetDriver("overlay2")
	image := dockertest.NewImage("a", dockertest.Layer("one"))
	image.RepoDigests = []string{
		"ghcr.io/a/b@" + digest.FromString("of ghcr.io").String(),
		registryHost + "/own@" + digest.FromString("of the local registry").String(),
	}
	built := dockertest.NewImage("built", dockertest.Layer("one"))
	for name, image := range map[string]dockertest.Image{
		"ghcr.io/a/b:1": image, "docker.io/a/b:1": image, registryHost + "/own:1": image, "ghcr.io/a/b:2": built,
	} {
		e.engine.Tag(name, image)
	}
	for where, pusher := range e.both(t) {
		for name, want := range map[string]rewrite.Presence{
			"ghcr.io/a/b:1":                 {OnHost: true, ImageID: image.ID().String(), Pulled: true},
			"ghcr.io/a/b:2":                 {OnHost: true, ImageID: built.ID().String()},
			"a/b:1":                         {OnHost: true, ImageID: image.ID().String()},
			registryHost + "/own:1":         {OnHost: true, ImageID: image.ID().String()},
			registryHost + "/ghcr.io/a/b:1": {OnHost: true, ImageID: image.ID().String()},
			"ghcr.io/a/b:3":                 {Similar: []string{"ghcr.io/a/b:1", "ghcr.io/a/b:2"}},
			image.RepoDigests[0]:            {},
		} {
			got, err := pusher.Lookup(t.Context(), rewritetest.Name(t, name))
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("%s: Lookup(%q): error %v, (-want +got):\n%s", where, name, err, diff)
			}
		}
	}
}

func TestLookup_ReportsWhyAnImageCannotBePushed(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	windows := dockertest.NewImage("w", dockertest.Layer("one"))
	windows.OS = "windows"
	e.engine.Tag("docker.io/library/w:latest", windows)
	for where, pusher := range e.both(t) {
		got, err := pusher.Lookup(t.Context(), rewritetest.Name(t, "w"))
		want := rewrite.Presence{OnHost: true, ImageID: windows.ID().String(), Refusal: rewrite.WrongPlatform, Detail: "the image is for windows, the nodes run linux"}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: Lookup error %v, (-want +got):\n%s", where, err, diff)
		}
	}
}

func TestPush_RefusesImagesThatCannotBePushed(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	windows := dockertest.NewImage("w", dockertest.Layer("one"))
	windows.OS = "windows"
	e.engine.Tag("docker.io/library/w:latest", windows)
	for name, want := range map[string]rewrite.Reason{
		"w":                          rewrite.WrongPlatform,
		"nothing:1":                  rewrite.NotOnHost,
		registryHost + "/nothing:1":  rewrite.NotOnHost,
		"w@" + windows.ID().String(): rewrite.DigestNotHeld,
		"not a reference":            rewrite.InvalidReference,
		"":                           rewrite.InvalidReference,
		"HOST.example/a:1":           rewrite.Unmappable,
	} {
		for where, pusher := range e.both(t) {
			t.Run(name+" "+where, func(t *testing.T) {
				t.Parallel()
				_, err := pusher.Push(t.Context(), name, nil)
				wantRefusal(t, err, want)
			})
		}
	}
}

func TestService_RefusesNamesThatTheRulesExclude(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		rules rules.Rules
		image string
		want  rewrite.Reason // "" if the image is pushed
	}{
		"excluded":                           {excluding("a/**"), "a/b:1", rewrite.ExcludedByRule},
		"excluded, by another tag":           {excluding("a/b:2"), "a/b:1", ""},
		"excluded, by digest":                {excluding("a/**"), "a/b@" + digest.FromString("x").String(), rewrite.ExcludedByRule},
		"excluded, by its registry name":     {excluding("a/**"), registryHost + "/a/b:1", rewrite.NotOnHost},
		"not included":                       {including("c/**"), "a/b:1", rewrite.ExcludedByRule},
		"included":                           {including("a/**"), "a/b:1", ""},
		"included, by its registry name":     {including("a/**"), registryHost + "/a/b:1", ""},
		"not included, by its registry name": {including("c/**"), registryHost + "/a/b:1", rewrite.ExcludedByRule},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEnvWith(t, tt.rules)
			e.engine.Tag("docker.io/a/b:1", dockertest.NewImage("a", dockertest.Layer("one")))
			for where, pusher := range e.both(t) {
				found, err := pusher.Lookup(t.Context(), rewritetest.Name(t, tt.image))
				if tt.want == rewrite.ExcludedByRule {
					wantRefusal(t, err, tt.want)
				} else if err != nil || found.OnHost != (tt.want == "") {
					t.Errorf("%s: Lookup(%q) = %+v, %v", where, tt.image, found, err)
				}
				if _, err = pusher.Push(t.Context(), tt.image, nil); tt.want != "" {
					wantRefusal(t, err, tt.want)
				} else if err != nil {
					t.Errorf("%s: Push(%q): %v", where, tt.image, err)
				}
			}
		})
	}
}

// excluding returns rules that exclude the images that match pattern.
func excluding(pattern string) rules.Rules {
	return rules.Rules{Images: rules.Selection{Exclude: []string{pattern}}}
}

func including(pattern string) rules.Rules {
	return rules.Rules{Images: rules.Selection{Include: []string{pattern}}}
}

func TestPush_FindsTheImageOfARegistryName(t *testing.T) {
	t.Parallel()
	for name, tagged := range map[string]string{
		"tagged with the name":     registryHost + "/reg.corp__5000/x:1",
		"tagged with its original": "reg.corp:5000/x:1",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t)
			e.engine.Tag(tagged, dockertest.NewImage("a", dockertest.Layer("one")))
			if _, err := e.service.Push(t.Context(), registryHost+"/reg.corp__5000/x:1", nil); err != nil {
				t.Errorf("Push: %v", err)
			}
		})
	}
}

func TestPush_OfOneBuildRefusesOtherBuilds(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	image := dockertest.NewImage("a", dockertest.Layer("one"))
	e.engine.Tag("docker.io/a/b:1", image)
	for where, pusher := range e.both(t) {
		build := rewrite.WithBuild(registryHost+"/a/b:1", image.ID().String())
		if _, err := pusher.Push(t.Context(), build, nil); err != nil {
			t.Errorf("%s: Push(%q): %v", where, build, err)
		}
		presence, err := pusher.Lookup(t.Context(), rewritetest.Name(t, build))
		if err != nil || !presence.OnHost || presence.Digest == "" {
			t.Errorf("%s: Lookup(%q) = %+v, %v, want it pushed", where, build, presence, err)
		}
		other := rewrite.WithBuild(registryHost+"/a/b:1", digest.FromString("another build").String())
		_, err = pusher.Push(t.Context(), other, nil)
		wantRefusal(t, err, rewrite.NotOnHost)
	}
}

func TestPush_OfOneBuildObeysTheRules(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		rules rules.Rules
		want  rewrite.Reason
	}{
		"excluded by its tag": {excluding("docker.io/a/b:1"), rewrite.NotOnHost},
		"included by its tag": {including("docker.io/a/b:1"), ""},
	} {
		e := newEnvWith(t, tt.rules)
		image := dockertest.NewImage("a", dockertest.Layer("one"))
		e.engine.Tag("docker.io/a/b:1", image)
		_, err := e.service.Push(t.Context(), rewrite.WithBuild(registryHost+"/a/b:1", image.ID().String()), nil)
		if tt.want == "" && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if tt.want != "" {
			wantRefusal(t, err, tt.want)
		}
	}
}

func TestPush_OfAPresentDigestUploadsNothing(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.engine.Tag("docker.io/a/b:1", dockertest.NewImage("a", dockertest.Layer("one")))
	for where, pusher := range e.both(t) {
		result, err := pusher.Push(t.Context(), "a/b:1", nil)
		if err != nil {
			t.Fatalf("%s: Push: %v", where, err)
		}
		got, err := pusher.Push(t.Context(), "a/b@"+result.Digest.String(), nil)
		if diff := cmp.Diff(push.Result{Digest: result.Digest}, got); err != nil || diff != "" {
			t.Errorf("%s: Push by digest: error %v, (-want +got):\n%s", where, err, diff)
		}
	}
}
