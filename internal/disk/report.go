package disk

import (
	"time"

	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/inventory"
)

// Report lists the images on the host, in the registry and on the nodes.
type Report struct {
	// RegistryHost is the registry's host in image references, such as localhost:5001.
	RegistryHost string `json:"registryHost"`
	// Registry describes the registry's storage. It is nil if the registry is not ours, because others cannot list their images.
	Registry *Storage `json:"registry"`
	// Images are the images, sorted by name, the most recently used first.
	Images []Image `json:"images"`
	// Clusters are the kind clusters on this host.
	Clusters []Cluster `json:"clusters"`
}

// Storage describes the registry's storage. All sizes are in bytes.
type Storage struct {
	// Bytes is the total size of all blobs. Unneeded is the size of those that no image and no client needs.
	Bytes    int64 `json:"bytes"`
	Unneeded int64 `json:"unneededBytes"`
	// Limit is the limit that setup up --keep-storage has set; 0 if there is none.
	Limit int64 `json:"limitBytes,omitempty"`
}

// Image is a build in one repository.
type Image struct {
	// Repository is the repository in the registry; "" for an image on nodes that has no name.
	Repository string `json:"repository,omitempty"`
	// Digest is the digest of the image manifest or index. It is "" for an image that is only on the host, if Docker does not know it.
	Digest digest.Digest `json:"digest,omitempty"`
	// Tags are the tags in the registry that refer to the image.
	Tags []string `json:"tags"`
	// InRegistry means that the registry has the image. Promised means that the image was promised, and is about to arrive.
	InRegistry bool `json:"inRegistry"`
	Promised   bool `json:"promised,omitempty"`
	// Unreadable means that the image manifest in the registry is damaged.
	Unreadable bool `json:"unreadable,omitempty"`
	// Artifact means that the image is no container image, but for example a Helm chart.
	Artifact bool `json:"artifact,omitempty"`
	// Archive means that a tag in the registry refers to the image since it was pushed from an archive.
	Archive bool `json:"archive,omitempty"`
	// Bytes is the total size in the registry. OwnBytes is the size of the blobs that no other image needs.
	Bytes    int64 `json:"bytes"`
	OwnBytes int64 `json:"ownBytes"`
	// LastUsed is when the image was last pushed to the registry, pulled or looked up. It is accurate to a minute.
	LastUsed time.Time `json:"lastUsed,omitzero"`
	// Host are the tags on the host that refer to the image. HostBytes is the size on the host; 0 if it is not there.
	Host      []string `json:"host"`
	HostBytes int64    `json:"hostBytes,omitempty"`
	// Nodes are the nodes that have the image.
	Nodes []NodeImage `json:"nodes"`
	// UsedBy are the objects in clusters that use the image.
	UsedBy []Use `json:"usedBy"`
	// Used means that the image is not removed.
	Used bool `json:"used"`

	blobs   []digest.Digest
	aliases []digest.Digest // its config and, for an index, its image manifests
	subject digest.Digest
	named   bool // a tag on the host refers to it, or an object in a cluster names it
}

// reference returns the image's name in the registry.
func (i Image) reference() inventory.Reference {
	return inventory.Reference{Repository: i.Repository, Digest: i.Digest}
}

// HostImage is an image on the host that has tags.
type HostImage struct {
	// ID is the image's ID, and Manifest the digest of the image manifest that a push from the containerd image store uploads.
	ID, Manifest digest.Digest
	// Names are the image's tags, such as example/app:local.
	Names []string
	// Digests are the digests of image manifests that Docker has pulled or pushed.
	Digests []digest.Digest
	// Bytes is the image's size.
	Bytes int64
}

// NodeImage is an image on a node.
type NodeImage struct {
	Cluster string `json:"cluster"`
	Node    string `json:"node"`
	// ID is the image's ID in the node's container runtime.
	ID string `json:"id"`
	// References are the image's names on the node.
	References []string `json:"references"`
	// Bytes is the size that the container runtime reports. Layers that several images share are counted for each image.
	Bytes int64 `json:"bytes"`
	// Pinned means that the container runtime protects the image. Running means that a container on the node is running
	// it.
	Pinned  bool `json:"pinned,omitempty"`
	Running bool `json:"running,omitempty"`
}

// Use is an object in a cluster that uses an image.
type Use struct {
	Cluster   string `json:"cluster"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Image is the reference or image ID in the object.
	Image string `json:"image"`
}

// Cluster is a kind cluster.
type Cluster struct {
	Name string `json:"name"`
	// Nodes are the names of the running nodes.
	Nodes []string `json:"nodes"`
	// Faults explain why the images on a node could not be listed.
	Faults []string `json:"faults,omitempty"`
	// Unknown explains why it is unknown which images the cluster's pods use; "" if it is known, or if the cluster's nodes do not
	// use the registry.
	Unknown string `json:"unknown,omitempty"`
}
