package docker

import (
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/moby/moby/client"
)

// pulled reports whether the daemon has the image from the registry that the name refers to. If that is unknown, it reports
// false, because the image may be a build of the host, which pods must run.
func pulled(layout Layout, name string, found client.ImageInspectResult) bool {
	asked, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return false // an ID names no registry
	}
	return slices.ContainsFunc(origins(layout, found), func(origin string) bool {
		from, err := reference.ParseNormalizedNamed(origin)
		return err == nil && (from.Name() == asked.Name() || layout.containerd && from.Name() == withoutPort(asked))
	})
}

// withoutPort returns the repository as the containerd image store reports it. containerd does not record the port of a
// registry, and without a port, a host name of one word reads as part of a path on Docker Hub.
func withoutPort(named reference.Named) string {
	host, _, _ := strings.Cut(reference.Domain(named), ":")
	reported, err := reference.ParseNormalizedNamed(host + "/" + reference.Path(named))
	if err != nil {
		return named.Name() // as of an IPv6 address, which the daemon cannot parse either
	}
	return reported.Name()
}

// origins returns references to the repositories that this daemon pulled the image from or pushed it to. After a push, that
// registry has the image too.
func origins(layout Layout, found client.ImageInspectResult) []string {
	switch {
	case layout.containerd:
		return identityOrigins(found)
	case layout.driver == "overlay2", layout.driver == "fuse-overlayfs":
		// Docker's own image store records the digest of each pull and push. A build, docker load and docker tag record none.
		return found.RepoDigests
	}
	// Podman has other drivers, and reports digests even for its builds.
	return nil
}

// identityOrigins returns the repositories that the containerd image store reports from API 1.53 on. Its RepoDigests do not
// help: it makes one for every tag.
func identityOrigins(found client.ImageInspectResult) (repositories []string) {
	if found.Identity == nil {
		return nil
	}
	for _, from := range found.Identity.Pull {
		repositories = append(repositories, from.Repository)
	}
	return repositories
}
