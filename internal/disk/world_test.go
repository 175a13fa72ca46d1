package disk

import (
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/inventory"
)

const registryHost = "localhost:5001"

// d returns the digest of a word.
func d(word string) digest.Digest { return digest.FromString(word) }

// at returns a time that is later for a larger number.
func at(minute int) time.Time { return time.Date(2026, 1, 1, 0, minute, 0, 0, time.UTC) }

// world is everything that a test assumes. By default, each image has a manifest of 1 byte, a config of 10 bytes and a layer of
// 100 bytes, and shares a layer of 1000 bytes with all others.
type world struct {
	images   []inventory.Image
	orphans  int64 // size of a blob that no image needs
	relied   []digest.Digest
	host     []HostImage
	nodes    []NodeImage
	uses     []Use
	clusters []Cluster
	foreign  bool // the registry is not ours
}

// stored returns an image of the registry. name is its repository, tag and build, such as app:1@first; tag may be "".
func stored(name string, minute int) inventory.Image {
	reference, build, _ := strings.Cut(name, "@")
	repository, tag, _ := strings.Cut(reference, ":")
	image := inventory.Image{
		Reference: inventory.Reference{Repository: repository, Digest: d(build)}, Config: d(build + " config"), LastUsed: at(minute),
		Blobs: []digest.Digest{d(build), d(build + " config"), d(build + " layer"), d("base")},
	}
	if tag != "" {
		image.Tags = []string{tag}
	}
	return image
}

// onHost returns an image on the host, as Docker's own image store has it.
func onHost(build string, names ...string) HostImage {
	return HostImage{ID: d(build + " config"), Names: names, Bytes: 5}
}

// onNode returns an image on node n1. Each name is completed with the digest of the build, if it ends with @.
func onNode(build string, names ...string) NodeImage {
	image := NodeImage{Cluster: "c", Node: "n1", ID: d(build + " config").String(), Bytes: 7}
	for _, name := range names {
		if strings.HasSuffix(name, "@") {
			name += d(build).String()
		}
		image.References = append(image.References, name)
	}
	return image
}

// uses returns the use of an image by a pod.
func usedBy(image string) Use {
	return Use{Cluster: "c", Kind: "Pod", Namespace: "default", Name: "p", Image: image}
}

// sizes returns the sizes of the blobs in the registry.
func (w world) sizes() map[digest.Digest]int64 {
	sizes := map[digest.Digest]int64{d("base"): 1000}
	for _, image := range w.images {
		for i, blob := range image.Blobs[:min(3, len(image.Blobs))] {
			sizes[blob] = []int64{1, 10, 100}[i]
		}
	}
	if w.orphans > 0 {
		sizes[d("orphan")] = w.orphans
	}
	return sizes
}

// blobs returns the blobs in the registry.
func (w world) blobs() blobs { return blobs{w.sizes(), w.relied} }

// report returns the report about the world.
func (w world) report() Report {
	all := found{registryHost: registryHost, host: w.host, nodes: w.nodes, uses: w.uses}
	if !w.foreign {
		all.registry = &inventory.Inventory{Images: w.images, Blobs: w.sizes(), Relied: w.relied}
	}
	return all.report(w.clusters)
}

// removals returns what the plan removes, in a form that is easy to compare.
func removals(p Plan) []string {
	builds := map[digest.Digest]string{}
	for _, build := range []string{"first", "second", "third", "fourth", "index", "chart", "signature"} {
		builds[d(build)], builds[d(build+" config")] = build, build
	}
	var removed []string
	for _, image := range p.Registry {
		removed = append(removed, image.Repository+"@"+builds[image.Digest])
	}
	for _, image := range p.Nodes {
		removed = append(removed, image.Node+" "+builds[digest.Digest(image.ID)])
	}
	return removed
}
