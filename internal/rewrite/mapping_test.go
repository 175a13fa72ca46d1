package rewrite_test

import (
	"errors"
	"strings"
	"testing"

	"kind-local-registry/internal/rewrite"
)

func TestTarget_ReturnsReadableReference(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ image, want string }{
		"an official image":                {"nginx", "localhost:5001/nginx:latest"},
		"an official image, full name":     {"docker.io/library/nginx:latest", "localhost:5001/nginx:latest"},
		"a user's image":                   {"laconicnetwork/agave:local", "localhost:5001/laconicnetwork/agave:local"},
		"a user's image, full name":        {"docker.io/laconicnetwork/agave:local", "localhost:5001/laconicnetwork/agave:local"},
		"another registry":                 {"ghcr.io/a/b:1", "localhost:5001/ghcr.io/a/b:1"},
		"another registry with a port":     {"reg.corp:5000/x:1", "localhost:5001/reg.corp__5000/x:1"},
		"another port of this host":        {"localhost:5000/x:1", "localhost:5001/localhost__5000/x:1"},
		"a host without a dot":             {"localhost/x:1", "localhost:5001/localhost/x:1"},
		"a name of this registry":          {"localhost:5001/x/y:1", "localhost:5001/x/y:1"},
		"a digest":                         {"nginx@" + someDigest, "localhost:5001/nginx"},
		"a tag and a digest":               {"nginx:1@" + someDigest, "localhost:5001/nginx:1"},
		"a name that looks like a port":    {"a__5000/x:1", "localhost:5001/docker.io/a__5000/x:1"},
		"a host that looks like docker.io": {"docker.io.example/x:1", "localhost:5001/docker.io.example/x:1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parsed, err := rewrite.Parse(tt.image)
			if err != nil {
				t.Fatal(err)
			}
			got, err := parsed.Target(registryHost)
			if err != nil || got != tt.want {
				t.Errorf("Target(%q) = %q, %v, want %q", tt.image, got, err, tt.want)
			}
		})
	}
}

func TestTarget_ReturnsErrUnmappable(t *testing.T) {
	t.Parallel()
	for name, image := range map[string]string{
		"a host with capitals": "Registry.corp/x:1",
		"an IPv6 host":         "[::1]:5000/x:1",
		"a name that is too long with the registry's host": "registry.corp:5000/" +
			strings.Repeat("a", 255-len("registry.corp:5000/")) + ":1",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parsed, err := rewrite.Parse(image)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := parsed.Target(registryHost); !errors.Is(err, rewrite.ErrUnmappable) {
				t.Errorf("Target(%q) = %q, %v, want ErrUnmappable", image, got, err)
			}
		})
	}
}

func TestTarget_AcceptsAtMost255Characters(t *testing.T) {
	t.Parallel()
	const registryHost = "localhost:5001"
	for length, want := range map[int]bool{255 - len(registryHost) - 1: true, 255 - len(registryHost): false} {
		path := "a/" + strings.Repeat("b", length-2)
		_, err := parsed(t, path).Target(registryHost)
		if got := err == nil; got != want {
			t.Errorf("Target of a repository of %d characters = error %v, want mapped: %v", length, err, want)
		}
	}
}
