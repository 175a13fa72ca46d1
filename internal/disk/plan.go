package disk

import (
	"cmp"
	"slices"

	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/inventory"
)

// Options are the user's choices for Prune.
type Options struct {
	// Keep is how many bytes the registry may keep; nil to remove every unused image. A limit does not affect used images.
	Keep *int64 `json:"keepBytes,omitempty"`
	// Archives makes Prune remove the images from archives, too, unless an object in a cluster names them.
	Archives bool `json:"archives,omitempty"`
	// DryRun makes Prune return its plan, and change nothing.
	DryRun bool `json:"dryRun,omitempty"`
	// Only limits the removal to what an earlier plan contains; nil for no limit.
	Only *Plan `json:"only,omitempty"`
}

// Plan is what Prune removes.
type Plan struct {
	// Registry are the images to remove from the registry, the least recently used first.
	Registry []Image `json:"registry"`
	// RegistryBytes is how much that frees, with the blobs that no image needs already. RegistryLeft is how much remains.
	RegistryBytes int64 `json:"registryBytes"`
	RegistryLeft  int64 `json:"registryLeftBytes"`
	// Nodes are the images to remove from nodes.
	Nodes []NodeImage `json:"nodes"`
	// NodeBytes is the total size of these images, as the nodes' container runtimes report it. Less is freed if they share layers
	// with other images, or files with the host.
	NodeBytes int64 `json:"nodeBytes"`
	// Faults explain why the images on some nodes are left alone.
	Faults []string `json:"faults,omitempty"`
	// Blocked explains why nothing is removed from the registry; "" if nothing prevents it.
	Blocked string `json:"blocked,omitempty"`
	// BlockedBy is the kind cluster that prevents it; "" if the registry cannot be pruned at all.
	BlockedBy string `json:"blockedBy,omitempty"`

	// relied is how much of RegistryLeft no remaining image needs, but only clients rely on.
	relied int64
}

// Empty reports whether the plan removes nothing.
func (p Plan) Empty() bool { return len(p.Registry)+len(p.Nodes) == 0 && p.RegistryBytes == 0 }

// blobs are the registry's blobs.
type blobs struct {
	sizes  map[digest.Digest]int64 // in bytes
	relied []digest.Digest         // those that clients rely on
}

// plan returns what Prune removes.
func (r Report) plan(blobs blobs, o Options) Plan {
	p := Plan{Registry: []Image{}, Nodes: []NodeImage{}}
	if r.Registry == nil {
		p.Blocked = "the registry is not the one that setup contains, so only the nodes can be pruned"
	} else {
		for _, cluster := range r.Clusters {
			if cluster.Unknown != "" {
				p.BlockedBy = cluster.Name
				p.Blocked = "it is unknown which images the pods of kind cluster " + cluster.Name + " use: " + cluster.Unknown
			}
		}
	}
	for _, cluster := range r.Clusters {
		p.Faults = append(p.Faults, cluster.Faults...)
	}
	if p.Blocked == "" {
		p.Registry = r.leastRecent(o)
		p.RegistryBytes, p.Registry = r.freed(blobs, p.Registry, o.Keep)
		p.relied = r.reliedOnly(blobs, p)
	}
	if r.Registry != nil {
		p.RegistryLeft = r.Registry.Bytes - p.RegistryBytes
	}
	p.Nodes = r.nodeImages(p.Registry, o)
	for _, image := range p.Nodes {
		p.NodeBytes += image.Bytes
	}
	return p
}

// keeps reports whether the image is not removed.
func (o Options) keeps(image Image) bool {
	if o.Archives && image.Archive {
		return image.named || image.Promised
	}
	return image.Used
}

// leastRecent returns the images in the registry that may be removed, the least recently used first.
func (r Report) leastRecent(o Options) []Image {
	images := slices.DeleteFunc(slices.Clone(r.Images), func(image Image) bool {
		return o.keeps(image) || !image.InRegistry || o.Only != nil && !o.Only.hasImage(image.reference())
	})
	slices.SortStableFunc(images, func(a, b Image) int { return a.LastUsed.Compare(b.LastUsed) })
	return images
}

// freed returns how many bytes are freed by removing the images, and which of them have to be removed to keep at most the given
// number of bytes. Blobs that no image needs are always removed.
func (r Report) freed(blobs blobs, images []Image, keep *int64) (int64, []Image) {
	needed := map[digest.Digest]int{}
	for _, d := range blobs.relied {
		needed[d]++
	}
	for _, image := range r.Images {
		for _, d := range image.blobs {
			needed[d]++
		}
	}
	freed := r.Registry.Unneeded
	for i, image := range images {
		if keep != nil && r.Registry.Bytes-freed <= *keep {
			return freed, images[:i]
		}
		for _, d := range image.blobs {
			if needed[d]--; needed[d] == 0 {
				freed += blobs.sizes[d]
			}
		}
	}
	return freed, images
}

// reliedOnly returns the total size in bytes of the blobs on which clients rely, and which no image needs after the plan.
func (r Report) reliedOnly(blobs blobs, p Plan) (bytes int64) {
	needed := map[digest.Digest]bool{}
	for _, image := range r.Images {
		if !p.hasImage(image.reference()) {
			for _, d := range image.blobs {
				needed[d] = true
			}
		}
	}
	for _, d := range blobs.relied {
		if !needed[d] {
			bytes += blobs.sizes[d]
		}
	}
	return bytes
}

// nodeImages returns the images to remove from nodes. If there is a limit, an image stays on the nodes as long as it stays in the
// registry.
func (r Report) nodeImages(removed []Image, o Options) []NodeImage {
	type place struct{ node, id string }
	keep, all := map[place]bool{}, map[place]NodeImage{}
	unknown := r.unknownClusters()
	for _, image := range r.Images {
		stays := o.keeps(image) || o.Keep != nil && !image.leaves(removed)
		for _, node := range image.Nodes {
			at := place{node.Node, node.ID}
			all[at] = node
			if stays || unknown[node.Cluster] || !node.removable(o) {
				keep[at] = true // also under its other names
			}
		}
	}
	images := []NodeImage{}
	for at, node := range all {
		if !keep[at] {
			images = append(images, node)
		}
	}
	slices.SortFunc(images, compareNodeImages)
	return images
}

// leaves reports whether the registry lacks the image once the images in removed are gone. It returns false for an image without a
// name, which the registry never had.
func (i Image) leaves(removed []Image) bool {
	if i.Repository == "" {
		return false
	}
	return !i.InRegistry || slices.ContainsFunc(removed, func(one Image) bool { return one.reference() == i.reference() })
}

// removable reports whether the node and the options allow to remove the image.
func (i NodeImage) removable(o Options) bool {
	return !i.Pinned && !i.Running && (o.Only == nil || o.Only.hasNodeImage(i))
}

// unknownClusters returns the clusters of which it is unknown which images their pods use.
func (r Report) unknownClusters() map[string]bool {
	unknown := map[string]bool{}
	for _, cluster := range r.Clusters {
		unknown[cluster.Name] = cluster.Unknown != ""
	}
	return unknown
}

// hasImage reports whether the plan removes the image from the registry.
func (p Plan) hasImage(reference inventory.Reference) bool {
	return slices.ContainsFunc(p.Registry, func(one Image) bool { return one.reference() == reference })
}

// hasNodeImage reports whether the plan removes the image from the node.
func (p Plan) hasNodeImage(image NodeImage) bool {
	return slices.ContainsFunc(p.Nodes, func(one NodeImage) bool { return one.Node == image.Node && one.ID == image.ID })
}

// compareNodeImages orders images by node and ID.
func compareNodeImages(a, b NodeImage) int {
	return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.ID, b.ID))
}
