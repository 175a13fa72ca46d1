package disk

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"kind-local-registry/config"
	"kind-local-registry/internal/inventory"
	"kind-local-registry/internal/rewrite"
)

// importedName matches the names that kind load gives to images: docker.io/library/import-2026-01-31@sha256:… Once a tag moves to
// another build, this name is all that is left of the old one.
var importedName = regexp.MustCompile(`^(.+/)?import-\d{4}-\d{2}-\d{2}@sha256:[0-9a-f]{64}$`)

// nodeRepository is the repository in which kind publishes its node images.
const nodeRepository = "kindest/node"

// found is everything that is known about images.
type found struct {
	registryHost string
	registry     *inventory.Inventory // nil if the registry is not ours
	host         []HostImage
	nodes        []NodeImage
	uses         []Use
}

// images joins what is known about each image.
func (f found) images() []Image {
	joined := map[inventory.Reference]*Image{}
	if f.registry != nil {
		for _, image := range f.registry.Images {
			joined[image.Reference] = f.stored(image)
		}
	}
	f.addNodes(joined)
	f.addUses(joined)
	images := make([]Image, 0, len(joined))
	for _, image := range joined {
		image.named = len(image.Host)+len(image.UsedBy) > 0
		image.Used = image.named || image.Promised || image.Artifact || image.Archive
		images = append(images, *image)
	}
	spreadToSubjects(images)
	images = append(images, f.onlyOnHost(images)...)
	slices.SortFunc(images, func(a, b Image) int {
		return cmp.Or(cmp.Compare(a.Repository, b.Repository), b.LastUsed.Compare(a.LastUsed), cmp.Compare(a.Digest, b.Digest))
	})
	return images
}

// stored returns an image of the registry, with the tags on the host that refer to it.
func (f found) stored(image inventory.Image) *Image {
	one := newImage(image.Reference)
	one.Tags, one.InRegistry, one.Promised = slices.Clone(image.Tags), !image.Promised, image.Promised
	one.Unreadable, one.Artifact, one.LastUsed, one.blobs = image.Unreadable, image.Artifact, image.LastUsed, image.Blobs
	one.Archive = image.Archive
	for _, d := range image.Blobs {
		one.Bytes += f.registry.Blobs[d]
	}
	one.subject = image.Subject
	if one.aliases = slices.Clone(image.Children); image.Config != "" {
		one.aliases = append(one.aliases, image.Config)
	}
	one.Host, one.HostBytes = f.onHost(image.Repository, append(one.aliases, image.Digest)...)
	return one
}

// newImage returns an image about which nothing else is known.
func newImage(reference inventory.Reference) *Image {
	return &Image{
		Repository: reference.Repository, Digest: reference.Digest,
		Tags: []string{}, Host: []string{}, Nodes: []NodeImage{}, UsedBy: []Use{},
	}
}

// onHost returns the tags on the host that map to the repository and refer to one of the builds, and the build's size on the host.
// A build is known by the digest of its config, image manifest or index. If the repository is "", all tags count.
func (f found) onHost(repository string, builds ...digest.Digest) (names []string, bytes int64) {
	names = []string{}
	for _, image := range f.host {
		known := append([]digest.Digest{image.ID, image.Manifest}, image.Digests...)
		if !slices.ContainsFunc(known, func(d digest.Digest) bool { return d != "" && slices.Contains(builds, d) }) {
			continue
		}
		for _, name := range image.Names {
			if mapped, _ := f.resolve(name); repository == "" || mapped == repository {
				names, bytes = append(names, name), image.Bytes
			}
		}
	}
	slices.Sort(names)
	return names, bytes
}

// onlyOnHost returns the images on the host that are not among the others. It leaves out kind's node images and our own images.
func (f found) onlyOnHost(others []Image) []Image {
	listed := map[string]bool{}
	for _, image := range others {
		for _, name := range image.Host {
			listed[name] = true
		}
	}
	var images []Image
	for _, image := range f.host {
		for _, name := range image.Names {
			repository, _ := f.resolve(name)
			if listed[name] || repository == "" || repository == nodeRepository || strings.HasPrefix(repository, config.Name+"/") {
				continue
			}
			one := newImage(inventory.Reference{Repository: repository, Digest: image.Manifest})
			one.Host, one.HostBytes, one.Used = []string{name}, image.Bytes, true
			images = append(images, *one)
		}
	}
	return images
}

// resolve returns the repository to which a reference maps in the registry, and its tag or digest. Both are "" for an invalid
// reference.
func (f found) resolve(reference string) (repository, tagOrDigest string) {
	name, err := rewrite.Parse(reference)
	if err != nil {
		return "", ""
	}
	if repository, err = name.Repository(f.registryHost); err != nil {
		return "", ""
	}
	return repository, cmp.Or(name.Digest(), name.Tag())
}

// addNodes adds the nodes' images that came from the registry or from kind load. It leaves out images that have other names, too.
func (f found) addNodes(joined map[inventory.Reference]*Image) {
	for _, image := range f.nodes {
		for _, reference := range f.ofRegistry(image) {
			if joined[reference] == nil {
				joined[reference] = newImage(reference)
				host, bytes := f.onHost(reference.Repository, reference.Digest, digest.Digest(image.ID))
				joined[reference].Host, joined[reference].HostBytes = host, bytes
			}
			joined[reference].Nodes = append(joined[reference].Nodes, image)
		}
	}
}

// ofRegistry returns the names of a node's image in the registry. For an image from kind load, the repository is "". It returns
// none for an image that also has another name, because removing that image would remove all of its names.
func (f found) ofRegistry(image NodeImage) []inventory.Reference {
	names := map[inventory.Reference]bool{}
	for _, name := range image.References {
		repository, reference := f.resolve(name)
		d := digest.Digest(reference)
		switch {
		case importedName.MatchString(name):
			names[inventory.Reference{Digest: d}] = true
		case !strings.HasPrefix(name, f.registryHost+"/"):
			return nil
		case d.Validate() == nil:
			names[inventory.Reference{Repository: repository, Digest: d}] = true
		}
	}
	return slices.SortedFunc(maps.Keys(names), func(a, b inventory.Reference) int { return cmp.Compare(a.Repository, b.Repository) })
}

// addUses adds the objects in clusters that use the images.
func (f found) addUses(joined map[inventory.Reference]*Image) {
	byTag, byDigest := map[string][]*Image{}, map[string][]*Image{}
	for _, image := range joined {
		for _, name := range f.tagged(image) {
			byTag[name] = append(byTag[name], image)
		}
		for _, d := range image.digests() {
			byDigest[d] = append(byDigest[d], image)
		}
	}
	for _, use := range f.uses {
		images := byDigest[use.Image]                   // an image ID in a pod's status
		if digest.Digest(use.Image).Validate() != nil { // as a reference, an ID would be valid too
			repository, reference := f.resolve(use.Image)
			// A pod's status may name another repository that has the same image.
			images = slices.Concat(byDigest[reference], byTag[repository+":"+reference])
		}
		for _, image := range images {
			if !slices.ContainsFunc(image.UsedBy, func(known Use) bool { return known.sameObject(use) }) {
				image.UsedBy = append(image.UsedBy, use)
			}
		}
	}
}

// tagged returns the repositories and tags, such as app:1, by which pods may refer to the image, in the registry and on nodes.
func (f found) tagged(image *Image) []string {
	var names []string
	for _, tag := range image.Tags {
		names = append(names, image.Repository+":"+tag)
	}
	for _, node := range image.Nodes {
		for _, name := range node.References {
			repository, tag := f.resolve(name)
			names = append(names, repository+":"+tag)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// sameObject reports whether both uses are by the same object.
func (u Use) sameObject(other Use) bool {
	u.Image = other.Image
	return u == other
}

// digests returns the digests by which pods may refer to the image.
func (i Image) digests() []string {
	known := []string{i.Digest.String()}
	for _, alias := range i.aliases {
		known = append(known, alias.String())
	}
	for _, node := range i.Nodes {
		known = append(known, node.ID)
	}
	slices.Sort(known)
	return slices.Compact(known)
}

// spreadToSubjects marks what describes a used image, such as a signature, as used.
func spreadToSubjects(images []Image) {
	used := map[digest.Digest]bool{}
	for _, image := range images {
		used[image.Digest] = used[image.Digest] || image.Used
	}
	for i := range images {
		images[i].Used = images[i].Used || used[images[i].subject]
	}
}

// report returns the report about everything that was found. It also computes which blobs belong to only one image.
func (f found) report(clusters []Cluster) Report {
	r := Report{RegistryHost: f.registryHost, Images: f.images(), Clusters: clusters}
	if f.registry == nil {
		return r
	}
	count := map[digest.Digest]int{}
	for _, image := range r.Images {
		for _, d := range image.blobs {
			count[d]++
		}
	}
	for _, d := range f.registry.Relied {
		count[d]++ // so that it belongs to more than one image
	}
	r.Registry = &Storage{}
	for d, size := range f.registry.Blobs {
		r.Registry.Bytes += size
		if count[d] == 0 {
			r.Registry.Unneeded += size
		}
	}
	for i := range r.Images {
		for _, d := range r.Images[i].blobs {
			if count[d] == 1 {
				r.Images[i].OwnBytes += f.registry.Blobs[d]
			}
		}
	}
	return r
}
