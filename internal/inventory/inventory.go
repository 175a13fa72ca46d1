// Package inventory defines the API through which the pusher lists, removes and verifies the registry's images. The registry
// serves the API only on its Unix socket, so pods cannot use it.
//
//	GET  /inventory                      Inventory
//	POST /inventory/remove  Removal      Removed
//	POST /inventory/verify  Check        lines: {"progress":{…}}, and last {"result":{…}} or {"error":…}
package inventory

import (
	"time"

	"github.com/opencontainers/go-digest"
)

// These are the paths of the API.
const (
	Path       = "/inventory"
	RemovePath = Path + "/remove"
	VerifyPath = Path + "/verify"
)

// ArchiveHeader is a header with the digest of an image that came from an archive. A client that stores the image manifest under a tag
// sends it, so that the registry records it at the tag. The registry sends it with the image manifest as long as the tag refers to
// that image.
const ArchiveHeader = "Kind-Local-Registry-Archive"

// MaxRequest is the limit in bytes for the body of a request.
const MaxRequest = 8 << 20

// Inventory lists what the registry has.
type Inventory struct {
	// Time is when the registry began to list the images, by the registry's clock.
	Time time.Time `json:"time"`
	// Blobs are the sizes in bytes of all blobs, including those that belong to no image.
	Blobs map[digest.Digest]int64 `json:"blobs"`
	// Relied are the blobs that other clients than the pusher may be about to push an image manifest for. They are not removed.
	Relied []digest.Digest `json:"relied"`
	// Images are the images, sorted by repository and digest.
	Images []Image `json:"images"`
}

// Bytes returns the total size in bytes of all blobs.
func (i Inventory) Bytes() int64 {
	var total int64
	for _, size := range i.Blobs {
		total += size
	}
	return total
}

// Reference names an image in the registry: an image manifest or index in a repository.
type Reference struct {
	Repository string        `json:"repository"`
	Digest     digest.Digest `json:"digest"`
}

// Image is an image manifest or index in a repository. The image manifests of an index are not listed, unless they have tags.
type Image struct {
	Reference

	// Tags are the tags that refer to the image. It is empty if all of them have moved to other images.
	Tags []string `json:"tags"`
	// Config is the digest of the image's config; "" for an index.
	Config digest.Digest `json:"config,omitempty"`
	// Children are the digests of the image manifests of an index.
	Children []digest.Digest `json:"children,omitempty"`
	// Subject is the digest of the image that this one describes, for example with a signature; "" for an ordinary image.
	Subject digest.Digest `json:"subject,omitempty"`
	// Blobs are the blobs that the image needs: image manifests, configs and layers. Each digest occurs once.
	Blobs []digest.Digest `json:"blobs"`
	// LastUsed is when the image was last pushed, pulled or looked up. It is accurate to a minute.
	LastUsed time.Time `json:"lastUsed"`
	// Artifact means that the image is no container image, but for example a Helm chart.
	Artifact bool `json:"artifact,omitempty"`
	// Archive means that a tag refers to the image since it was pushed from an archive.
	Archive bool `json:"archive,omitempty"`
	// Promised means that the image was promised, and that its layers may not have arrived yet.
	Promised bool `json:"promised,omitempty"`
	// Unreadable means that an image manifest is missing or damaged, so that Blobs is incomplete.
	Unreadable bool `json:"unreadable,omitempty"`
}

// Removal asks the registry to remove images, and then every blob that no image needs.
type Removal struct {
	// Images are the images to remove, with their tags.
	Images []Reference `json:"images"`
	// UnusedSince protects what is being used: images and blobs that were used after this time are kept.
	UnusedSince time.Time `json:"unusedSince"`
}

// Removed is the outcome of a Removal.
type Removed struct {
	// Images are the images that were removed.
	Images []Reference `json:"images"`
	// Kept are the images that were kept because they were used after Removal.UnusedSince.
	Kept []Reference `json:"kept"`
	// Blobs is how many blobs were removed, and Bytes is their total size.
	Blobs int   `json:"blobs"`
	Bytes int64 `json:"bytes"`
	// Left is the total size in bytes of the blobs that remain.
	Left int64 `json:"left"`
}

// Check asks the registry to verify its images.
type Check struct {
	// Blobs makes the registry compare every blob with its digest. Otherwise it only checks whether each image is complete.
	Blobs bool `json:"blobs"`
	// Repair makes the registry write damaged links again, if the data that they refer to is intact.
	Repair bool `json:"repair"`
}

// Progress is the progress of a Check.
type Progress struct {
	// Bytes is how many bytes have been read, of the Total.
	Bytes int64 `json:"bytes"`
	Total int64 `json:"total"`
}

// Checked is the outcome of a Check.
type Checked struct {
	// Blobs is how many blobs were compared with their digests, and Bytes is their total size.
	Blobs int   `json:"blobs"`
	Bytes int64 `json:"bytes"`
	// Damaged are the blobs that did not match their digests. The registry has removed them, so that they can be pushed again.
	Damaged []digest.Digest `json:"damaged"`
	// Faults are the images and tags that cannot be pulled, and the links that were damaged.
	Faults []Fault `json:"faults"`
}

// Problem is what is wrong with an image or a tag.
type Problem string

// These are the problems.
const (
	// TagLost means that the registry no longer knows which image the tag refers to.
	TagLost Problem = "TagLost"
	// ManifestLost means that the image manifest is missing.
	ManifestLost Problem = "ManifestLost"
	// BlobsLost means that the config or some layers are missing.
	BlobsLost Problem = "BlobsLost"
	// LinkDamaged means that a small file was damaged which only refers to intact data.
	LinkDamaged Problem = "LinkDamaged"
)

// Fault is an image or a tag that cannot be pulled, or can be pulled only after the registry has repaired it.
type Fault struct {
	Problem    Problem `json:"problem"`
	Repository string  `json:"repository"`
	// Digest is the digest of the image; "" if it is unknown.
	Digest digest.Digest `json:"digest,omitempty"`
	// Tags are the tags that refer to the image.
	Tags []string `json:"tags,omitempty"`
	// Config is the digest of the image's config; "" if it is unknown.
	Config digest.Digest `json:"config,omitempty"`
	// Missing are the blobs that are missing.
	Missing []digest.Digest `json:"missing,omitempty"`
	// Repaired means that the registry has repaired it.
	Repaired bool `json:"repaired,omitempty"`
}

// CheckLine is one line of the response to a Check. Exactly one field is set.
type CheckLine struct {
	Progress *Progress `json:"progress,omitempty"`
	Result   *Checked  `json:"result,omitempty"`
	Error    string    `json:"error,omitempty"`
}
