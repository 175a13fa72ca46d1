package rewrite_test

import (
	"strings"
	"testing"

	"kind-local-registry/internal/rewrite"
)

// seeds returns references that are hard to map.
func seeds() []string {
	return []string{
		"nginx", "library/nginx", "docker.io/nginx", "docker.io/library/nginx:1", "docker.io/a__5000/x",
		"a__5000/x", "a:5000/x", "a.b__5000/x", "localhost/x", "localhost:5000/x", "localhost:5001/x", "localhost__5001/x",
		"ghcr.io/a/b:1@" + someDigest, "[::1]:5000/x", "Host/x", "index.docker.io/x", "docker.io/docker.io/x", "a/b/c__1/d",
	}
}

// FuzzRepository checks that the mapping is reversible. Therefore two different names never share a repository.
func FuzzRepository(f *testing.F) {
	for _, image := range seeds() {
		f.Add(image)
	}
	f.Fuzz(func(t *testing.T, image string) {
		name, err := rewrite.Parse(image)
		if err != nil || name.Host() == registryHost {
			return
		}
		repository, err := name.Repository(registryHost)
		if err != nil {
			return
		}
		back, err := rewrite.FromRepository(repository)
		if err != nil {
			t.Fatalf("FromRepository(%q), of %q: %v", repository, image, err)
		}
		if got, want := back.String(), withoutTag(name); got != want {
			t.Errorf("FromRepository(%q) = %q, want %q", repository, got, want)
		}
	})
}

// FuzzNames checks that two names share a repository if and only if they differ at most in tag and digest.
func FuzzNames(f *testing.F) {
	for i, a := range seeds() {
		f.Add(a, seeds()[(i+1)%len(seeds())])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		one, errOne := rewrite.Parse(a)
		two, errTwo := rewrite.Parse(b)
		if errOne != nil || errTwo != nil || one.Host() == registryHost || two.Host() == registryHost {
			return
		}
		repositoryOne, errOne := one.Repository(registryHost)
		repositoryTwo, errTwo := two.Repository(registryHost)
		if errOne != nil || errTwo != nil {
			return
		}
		if (repositoryOne == repositoryTwo) != (withoutTag(one) == withoutTag(two)) {
			t.Errorf("repositories of %q and %q = %q and %q", one, two, repositoryOne, repositoryTwo)
		}
	})
}

// FuzzDecide checks that Decide never panics and never rewrites its own result again.
func FuzzDecide(f *testing.F) {
	for _, image := range seeds() {
		f.Add(image, true, true)
		f.Add(image, true, false)
		f.Add(image, false, false)
	}
	f.Fuzz(func(t *testing.T, image string, onHost, inRegistry bool) {
		lookup := func(rewrite.Name) (rewrite.Presence, error) {
			presence := rewrite.Presence{OnHost: onHost}
			if inRegistry {
				presence.Digest, presence.Served = someDigest, someDigest
			}
			return presence, nil
		}
		first := rewrite.Decide(newQuestion(image), lookup)
		if second := rewrite.Decide(newQuestion(first.Rewritten), lookup); second.Changed() {
			t.Errorf("%q is rewritten to %q, and that to %q", image, first.Rewritten, second.Rewritten)
		}
		if first.Changed() && !strings.HasPrefix(first.Rewritten, registryHost+"/") {
			t.Errorf("%q is rewritten to %q, want a name in %s", image, first.Rewritten, registryHost)
		}
	})
}

// withoutTag returns the name without its tag and digest.
func withoutTag(name rewrite.Name) string {
	full := name.String()
	if digest := name.Digest(); digest != "" {
		full = strings.TrimSuffix(full, "@"+digest)
	}
	if tag := name.Tag(); tag != "" {
		full = strings.TrimSuffix(full, ":"+tag)
	}
	return full
}
