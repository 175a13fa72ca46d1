package docker

import (
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/moby/moby/client"
)

// pulled says whether the daemon has the image from the registry that the name says. Unknown is no: then the host's image
// may be a build, and running the host's builds is what we are for.
func pulled(layout Layout, name string, found client.ImageInspectResult) bool {
	asked, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return false // an ID comes from nowhere
	}
	return slices.ContainsFunc(origins(layout, found), func(origin string) bool {
		from, err := reference.ParseNormalizedNamed(origin)
		return err == nil && (from.Name() == asked.Name() || layout.containerd && from.Name() == withoutPort(asked))
	})
}

// withoutPort returns the repository as the containerd image store reports it. containerd does not record the port of a
// registry, and without it a host of one word reads as part of a path on Docker Hub.
func withoutPort(named reference.Named) string {
	host, _, _ := strings.Cut(reference.Domain(named), ":")
	reported, err := reference.ParseNormalizedNamed(host + "/" + reference.Path(named))
	if err != nil {
		return named.Name() // as of an IPv6 address, which the daemon cannot parse either
	}
	return reported.Name()
}

// origins returns references to the repositories that the image is known to have been pulled from, or pushed to by this
// daemon, which is as good: that registry has it too.
func origins(layout Layout, found client.ImageInspectResult) []string {
	switch {
	case layout.containerd:
		return identified(found)
	case layout.driver == "overlay2", layout.driver == "fuse-overlayfs":
		// Docker's own store notes the digest by which a registry gave or took the image. A build, docker load and docker tag
		// note none.
		return found.RepoDigests
	}
	// Podman has the other drivers too, and gives digests for what it built.
	return nil
}

// identified returns what the containerd image store knows of it, from API 1.53 on. Its RepoDigests say nothing: it makes
// one of every tag.
func identified(found client.ImageInspectResult) (repositories []string) {
	if found.Identity == nil {
		return nil
	}
	for _, from := range found.Identity.Pull {
		repositories = append(repositories, from.Repository)
	}
	return repositories
}
