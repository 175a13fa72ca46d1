package rewrite

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/distribution/reference"
)

// ErrUnmappable is returned for a valid reference that cannot be mapped to the local registry. The host contains capital
// letters or is an IPv6 address, or the name would exceed 255 characters with the local registry's host in front.
var ErrUnmappable = errors.New("has no name in the local registry")

// portSeparator replaces the colon before a host's port. It is valid in a repository but not in a host.
const portSeparator = "__"

// hostWithPort matches the first path component of a repository if mapHost made it from a host with a port.
var hostWithPort = regexp.MustCompile(`^([a-zA-Z0-9.-]+)` + portSeparator + `([0-9]+)$`)

// Repository maps the name to a repository of the local registry at registryHost. The result is reference.FamiliarName, or the
// full name if the familiar name would map back to another name. In the result, the host's :PORT becomes __PORT. A name in the
// local registry keeps its repository. Two different names never share a repository (see FuzzRepository). The error is
// ErrUnmappable.
func (n Name) Repository(registryHost string) (string, error) {
	if n.Host() == registryHost {
		return reference.Path(n.named), nil
	}
	longest := reference.RepositoryNameTotalLengthMax - len(registryHost+"/")
	for _, candidate := range []string{reference.FamiliarName(n.named), n.named.Name()} {
		repository := mapHost(candidate)
		if original, err := FromRepository(repository); err == nil && original.named.Name() == n.named.Name() {
			return repository, checkRepository(repository, longest, n)
		}
	}
	return "", fmt.Errorf("%s %w", n, ErrUnmappable)
}

// Target maps the name to a reference in the local registry, with the name's tag if it has one. The result has no digest,
// because only the caller knows which image manifest the registry has. The error is ErrUnmappable.
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

// FromRepository maps a repository of the local registry back to a name without a tag. It is the inverse of Name.Repository.
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

// mapHost replaces the colon before the host's port with portSeparator, because a repository cannot contain a colon.
func mapHost(name string) string {
	host, path, found := strings.Cut(name, "/")
	if !found {
		return name
	}
	return strings.Replace(host, ":", portSeparator, 1) + "/" + path
}

// checkRepository returns ErrUnmappable unless both the registry and the kubelet accept the repository. A host may contain
// characters that are invalid in a repository. longest is the maximum length in bytes; it is below the kubelet's limit, which
// also counts the registry's host.
func checkRepository(repository string, longest int, n Name) error {
	if strings.ToLower(repository) != repository || len(repository) > longest {
		return fmt.Errorf("%s %w", n, ErrUnmappable)
	}
	if _, err := reference.WithName(repository); err != nil {
		return fmt.Errorf("%s %w: %w", n, ErrUnmappable, err)
	}
	return nil
}
