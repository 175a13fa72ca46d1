package rewrite_test

import (
	"strings"
	"testing"

	"kind-local-registry/internal/rewrite"
)

// seeds are references whose mapping has a catch.
func seeds() []string {
	return []string{
		"nginx", "library/nginx", "docker.io/nginx", "docker.io/library/nginx:1", "docker.io/a__5000/x",
		"a__5000/x", "a:5000/x", "a.b__5000/x", "localhost/x", "localhost:5000/x", "localhost:5001/x", "localhost__5001/x",
		"ghcr.io/a/b:1@" + someDigest, "[::1]:5000/x", "Host/x", "index.docker.io/x", "docker.io/docker.io/x", "a/b/c__1/d",
	}
}

// FuzzRepository checks that the mapping is reversible, and so that no two names share a repository.
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

// FuzzNames checks of two names that they share a repository only if they are the same but for tag and digest.
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
			t.Errorf("%q and %q become %q and %q", one, two, repositoryOne, repositoryTwo)
		}
	})
}

// FuzzDecide checks that a decision never panics, and leaves its own result alone.
func FuzzDecide(f *testing.F) {
	for _, image := range seeds() {
		f.Add(image, true, true)
		f.Add(image, true, false)
		f.Add(image, false, false)
	}
	f.Fuzz(func(t *testing.T, image string, onHost, held bool) {
		lookup := func(rewrite.Name) (rewrite.Presence, error) {
			presence := rewrite.Presence{OnHost: onHost}
			if held {
				presence.Digest, presence.Served = someDigest, someDigest
			}
			return presence, nil
		}
		first := rewrite.Decide(ask(image), lookup)
		if second := rewrite.Decide(ask(first.Rewritten), lookup); second.Changed() {
			t.Errorf("%q becomes %q, which becomes %q", image, first.Rewritten, second.Rewritten)
		}
		if first.Changed() && !strings.HasPrefix(first.Rewritten, registryHost+"/") {
			t.Errorf("%q becomes %q, want a name of %s", image, first.Rewritten, registryHost)
		}
	})
}

// withoutTag returns the name without tag and digest.
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
