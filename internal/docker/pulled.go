package docker

import (
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/moby/moby/client"
)

// pulled reports whether the image comes from the repository that name refers to. If that is unknown, it reports false, because
// the image may be a build on the host, and pods must run such a build.
func pulled(layout Layout, name string, found client.ImageInspectResult) bool {
	asked, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return false // an ID does not name a repository
	}
	return slices.ContainsFunc(origins(layout, found), func(origin string) bool {
		from, err := reference.ParseNormalizedNamed(origin)
		return err == nil && (from.Name() == asked.Name() || layout.containerd && from.Name() == withoutPort(asked))
	})
}

// withoutPort returns the repository in the form that the containerd image store reports. containerd does not record the
// registry's port. Without its port, a host name of one word is parsed as part of a path on Docker Hub.
func withoutPort(named reference.Named) string {
	host, _, _ := strings.Cut(reference.Domain(named), ":")
	reported, err := reference.ParseNormalizedNamed(host + "/" + reference.Path(named))
	if err != nil {
		return named.Name() // for example an IPv6 address, which the daemon cannot parse either
	}
	return reported.Name()
}

// origins returns references to the repositories that this daemon pulled the image from or pushed it to. After a push, that
// repository has the image too.
func origins(layout Layout, found client.ImageInspectResult) []string {
	switch {
	case layout.containerd:
		return identityOrigins(found)
	case layout.driver == "overlay2", layout.driver == "fuse-overlayfs":
		// Docker's own image store records a digest for each pull and push, but none for a build, docker load or docker tag.
		return found.RepoDigests
	}
	// This may be Podman, which uses other drivers and reports digests even for its own builds.
	return nil
}

// identityOrigins returns the repositories that the containerd image store reports since API 1.53. RepoDigests is no help with
// this store, because it contains an entry for every tag.
func identityOrigins(found client.ImageInspectResult) (repositories []string) {
	if found.Identity == nil {
		return nil
	}
	for _, from := range found.Identity.Pull {
		repositories = append(repositories, from.Repository)
	}
	return repositories
}
