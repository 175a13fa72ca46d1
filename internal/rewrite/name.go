package rewrite

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/distribution/reference"
)

// ErrUnmappable is returned for a reference that is valid but has no name in the registry: a host with capital letters,
// an IPv6 host, or a name that grows, with the registry's host, over the 255 characters that a name may have.
var ErrUnmappable = errors.New("has no name in the local registry")

// portSeparator stands for the colon before a host's port. "__" can stand in a repository name, but not in a host name.
const portSeparator = "__"

// hostWithPort matches a first path component that is a host and a port, as mapHost writes it.
var hostWithPort = regexp.MustCompile(`^([a-zA-Z0-9.-]+)` + portSeparator + `([0-9]+)$`)

// Name is an image reference, normalised: docker.io and library/ filled in, and the tag latest where there is neither
// tag nor digest.
type Name struct{ named reference.Named }

// Parse normalises image as Docker does (github.com/distribution/reference). It fails on what Docker calls an invalid
// reference.
func Parse(image string) (Name, error) {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return Name{}, fmt.Errorf("parsing reference %q: %w", image, err)
	}
	return Name{reference.TagNameOnly(named)}, nil
}

// String returns the normalised reference, such as docker.io/library/nginx:latest.
func (n Name) String() string { return n.named.String() }

// Familiar returns the reference as people write it, such as nginx:latest.
func (n Name) Familiar() string { return reference.FamiliarString(n.named) }

// Host returns the registry's host, such as docker.io or localhost:5001.
func (n Name) Host() string { return reference.Domain(n.named) }

// Tag returns the tag, or "" where the reference has none.
func (n Name) Tag() string {
	if tagged, ok := n.named.(reference.Tagged); ok {
		return tagged.Tag()
	}
	return ""
}

// Digest returns the manifest digest that the reference asks for, or "" where it has none.
func (n Name) Digest() string {
	if digested, ok := n.named.(reference.Digested); ok {
		return digested.Digest().String()
	}
	return ""
}

// Repository returns the repository in the local registry, whose host is registryHost, that stands for the name:
// reference.FamiliarName, with the port of a foreign host written as __PORT, or the full name where the familiar one
// would be read as another. A name of the local registry itself is its own repository. No two names share one
// (FuzzRepository). It fails with ErrUnmappable.
func (n Name) Repository(registryHost string) (string, error) {
	if n.Host() == registryHost {
		return reference.Path(n.named), nil
	}
	longest := reference.RepositoryNameTotalLengthMax - len(registryHost+"/")
	for _, candidate := range []string{reference.FamiliarName(n.named), n.named.Name()} {
		repository := mapHost(candidate)
		if original, err := FromRepository(repository); err == nil && original.named.Name() == n.named.Name() {
			return repository, validRepository(repository, longest, n)
		}
	}
	return "", fmt.Errorf("%s %w", n, ErrUnmappable)
}

// Target returns the reference in the registry that stands for the name: host/repository, and the tag where there is
// one. A digest is left to the caller, who knows which manifest the registry holds. It fails with ErrUnmappable.
func (n Name) Target(registryHost string) (string, error) {
	repository, err := n.Repository(registryHost)
	if err != nil {
		return "", err
	}
	target := registryHost + "/" + repository
	if tag := n.Tag(); tag != "" {
		target += ":" + tag
	}
	return target, nil
}

// FromRepository is the inverse of Name.Repository: the name without tag that a repository stands for.
func FromRepository(repository string) (Name, error) {
	first, rest, found := strings.Cut(repository, "/")
	if found {
		repository = hostWithPort.ReplaceAllString(first, "$1:$2") + "/" + rest
	}
	named, err := reference.ParseNormalizedNamed(repository)
	if err != nil {
		return Name{}, fmt.Errorf("parsing repository %q: %w", repository, err)
	}
	return Name{named}, nil
}

// mapHost writes the colon of a host's port as __, as a repository may not hold a colon.
func mapHost(name string) string {
	host, path, found := strings.Cut(name, "/")
	if !found {
		return name
	}
	return strings.Replace(host, ":", portSeparator, 1) + "/" + path
}

// validRepository reports whether registry and kubelet take the repository, of at most longest bytes: host names may hold
// what a path may not, and the kubelet counts the registry's host too.
func validRepository(repository string, longest int, n Name) error {
	if strings.ToLower(repository) != repository || len(repository) > longest {
		return fmt.Errorf("%s %w", n, ErrUnmappable)
	}
	if _, err := reference.WithName(repository); err != nil {
		return fmt.Errorf("%s %w: %w", n, ErrUnmappable, err)
	}
	return nil
}
