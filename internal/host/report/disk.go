package report

// Images is the document of setup images.
type Images struct {
	// RegistryHost is the registry's host in image references, such as localhost:5001.
	RegistryHost string `json:"registryHost"`
	// Registry describes the registry's storage. It is omitted if the registry is not the one that setup contains.
	Registry *Storage `json:"registry,omitempty"`
	// Images lists the images by name, the most recently used first.
	Images []Image `json:"images"`
	// Clusters lists the kind clusters on this host.
	Clusters []ImageCluster `json:"clusters"`
}

// Storage describes the registry's storage.
type Storage struct {
	// Bytes is the total size of all blobs.
	Bytes int64 `json:"bytes"`
	// Unneeded is the size of the blobs that no image and no client needs.
	Unneeded int64 `json:"unneededBytes"`
	// Limit is the limit that setup up --keep-storage has set. It is omitted if there is none.
	Limit int64 `json:"limitBytes,omitempty"`
}

// Image is a build in one repository.
type Image struct {
	// Repository is the repository in the registry. It is omitted for an image on nodes that has no name.
	Repository string `json:"repository,omitempty"`
	// Digest is the digest of the image manifest or index. It is omitted if nothing knows it.
	Digest string `json:"digest,omitempty"`
	// Tags lists the tags in the registry that refer to the image.
	Tags []string `json:"tags"`
	// InRegistry reports whether the registry has the image.
	InRegistry bool `json:"inRegistry"`
	// Promised reports that the image was promised, and is about to arrive.
	Promised bool `json:"promised,omitempty"`
	// Unreadable reports that the image manifest in the registry is damaged.
	Unreadable bool `json:"unreadable,omitempty"`
	// Artifact reports that the image is no container image, but for example a Helm chart.
	Artifact bool `json:"artifact,omitempty"`
	// Archive reports that a tag in the registry refers to the image since it was pushed from an archive.
	Archive bool `json:"archive,omitempty"`
	// Bytes is the total size in the registry.
	Bytes int64 `json:"bytes"`
	// OwnBytes is the size of the blobs that no other image needs.
	OwnBytes int64 `json:"ownBytes"`
	// LastUsed is when the image was last pushed to the registry, pulled or looked up, such as 2026-01-31T12:00:00Z. It is accurate to a
	// minute.
	LastUsed string `json:"lastUsed,omitempty"`
	// Host lists the tags on the host that refer to the image.
	Host []string `json:"host"`
	// HostBytes is the size on the host. It is omitted if the image is not there.
	HostBytes int64 `json:"hostBytes,omitempty"`
	// Nodes lists the nodes that have the image.
	Nodes []NodeImage `json:"nodes"`
	// UsedBy lists the objects in clusters that use the image.
	UsedBy []Use `json:"usedBy"`
	// Used reports that setup prune keeps the image.
	Used bool `json:"used"`
}

// NodeImage is an image on a node.
type NodeImage struct {
	// Cluster is the name of the kind cluster.
	Cluster string `json:"cluster"`
	// Node is the node's name.
	Node string `json:"node"`
	// ID is the image's ID in the node's container runtime.
	ID string `json:"id"`
	// References lists the image's names on the node.
	References []string `json:"references"`
	// Bytes is the size that the container runtime reports. Layers that several images share are counted for each image.
	Bytes int64 `json:"bytes"`
	// Pinned reports that the container runtime protects the image.
	Pinned bool `json:"pinned,omitempty"`
	// Running reports that a container on the node is running the image.
	Running bool `json:"running,omitempty"`
}

// Use is an object in a cluster that uses an image.
type Use struct {
	// Cluster is the name of the kind cluster.
	Cluster string `json:"cluster"`
	// Kind is the object's kind, such as Pod or Deployment.
	Kind string `json:"kind"`
	// Namespace is the object's namespace.
	Namespace string `json:"namespace"`
	// Name is the object's name.
	Name string `json:"name"`
	// Image is the reference or image ID in the object.
	Image string `json:"image"`
}

// ImageCluster is a kind cluster whose images were listed.
type ImageCluster struct {
	// Name is the cluster's name.
	Name string `json:"name"`
	// Nodes lists the names of the running nodes.
	Nodes []string `json:"nodes"`
	// Faults explains why the images on some nodes could not be listed.
	Faults []string `json:"faults,omitempty"`
	// Unknown explains why it is unknown which images the cluster's pods use. It is omitted if that is known.
	Unknown string `json:"unknown,omitempty"`
}

// Prune is the document of setup prune.
type Prune struct {
	// DryRun reports that --dry-run was given, so nothing was removed.
	DryRun bool `json:"dryRun"`
	// Plan describes what prune removes.
	Plan PrunePlan `json:"plan"`
	// Removed describes what was removed from the registry. It is omitted if nothing was.
	Removed *Removed `json:"removed,omitempty"`
	// NodeImages lists the images that were removed from nodes.
	NodeImages []NodeImage `json:"nodeImages"`
	// NodeBytes is the total size of these images.
	NodeBytes int64 `json:"nodeBytes"`
	// Error is the error with which prune failed. It is omitted if prune succeeded.
	Error string `json:"error,omitempty"`
}

// PrunePlan describes what setup prune removes.
type PrunePlan struct {
	// Registry lists the images to remove from the registry, the least recently used first.
	Registry []Image `json:"registry"`
	// RegistryBytes is how much that frees, with the blobs that no image needs already.
	RegistryBytes int64 `json:"registryBytes"`
	// RegistryLeft is how much remains in the registry.
	RegistryLeft int64 `json:"registryLeftBytes"`
	// Nodes lists the images to remove from nodes.
	Nodes []NodeImage `json:"nodes"`
	// NodeBytes is the total size of these images. Less is freed if they share layers with other images, or files with the host.
	NodeBytes int64 `json:"nodeBytes"`
	// Faults explains why the images on some nodes are left alone.
	Faults []string `json:"faults,omitempty"`
	// Blocked explains why nothing is removed from the registry. It is omitted if nothing prevents that.
	Blocked string `json:"blocked,omitempty"`
	// BlockedBy is the kind cluster that prevents it. It is omitted if the registry cannot be pruned at all.
	BlockedBy string `json:"blockedBy,omitempty"`
}

// Removed describes what setup prune removed from the registry.
type Removed struct {
	// Images lists the images that were removed.
	Images []ImageName `json:"images"`
	// Kept lists the images that were kept because they were used in the meantime.
	Kept []ImageName `json:"kept"`
	// Blobs is how many blobs were removed.
	Blobs int `json:"blobs"`
	// Bytes is the total size of these blobs.
	Bytes int64 `json:"bytes"`
	// Left is the total size of the blobs that remain.
	Left int64 `json:"left"`
}

// ImageName names an image in the registry.
type ImageName struct {
	// Repository is the repository in the registry.
	Repository string `json:"repository"`
	// Digest is the digest of the image manifest or index.
	Digest string `json:"digest"`
}

// Verify is the document of setup verify.
type Verify struct {
	// OK reports that no faulty image remains.
	OK bool `json:"ok"`
	// Blobs is how many blobs were compared with their digests.
	Blobs int `json:"blobs"`
	// Bytes is the total size of these blobs.
	Bytes int64 `json:"bytes"`
	// Damaged lists the digests of the blobs that did not match, and were removed.
	Damaged []string `json:"damaged"`
	// Faults lists the faulty images, tags and links, including those that were repaired.
	Faults []Fault `json:"faults"`
}

// Fault is an image, tag or link that was found faulty.
type Fault struct {
	// Problem is one of: TagLost, ManifestLost, BlobsLost, LinkDamaged.
	Problem string `json:"problem"`
	// Repository is the repository in the registry.
	Repository string `json:"repository"`
	// Digest is the digest of the image manifest or index. It is omitted if it is unknown.
	Digest string `json:"digest,omitempty"`
	// Tags lists the tags that refer to the image.
	Tags []string `json:"tags,omitempty"`
	// Config is the digest of the image's config. It is omitted if it is unknown.
	Config string `json:"config,omitempty"`
	// Missing lists the digests of the missing blobs.
	Missing []string `json:"missing,omitempty"`
	// Repaired reports that the fault was repaired.
	Repaired bool `json:"repaired,omitempty"`
	// Detail explains why the fault is not repaired.
	Detail string `json:"detail,omitempty"`
}
