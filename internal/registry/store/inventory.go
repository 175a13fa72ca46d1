package store

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/inventory"
	"kind-local-registry/internal/promise"
)

// contents is a repository's content.
type contents struct {
	name string
	// documents are the image manifests and indexes that can be read, and unreadable are the others.
	documents  map[digest.Digest]document
	unreadable []digest.Digest
	// tags are the tags of each image manifest and index.
	tags map[digest.Digest][]string
	// layers are the configs and layers that are linked into the repository.
	layers []digest.Digest
}

// contents reads the image manifests, tags and links of a repository.
func (s *Store) contents(name string) (contents, error) {
	c := contents{name: name, documents: map[digest.Digest]document{}, tags: map[digest.Digest][]string{}}
	revisions, err := digests(s.revisionsPath(name))
	if err != nil {
		return c, err
	}
	for _, d := range revisions {
		if !linked(s.revisionsPath(name), d) {
			continue
		}
		if read, err := s.read(d); err == nil {
			c.documents[d] = read
		} else {
			c.unreadable = append(c.unreadable, d)
		}
	}
	tags, err := s.currentTags(name)
	if err != nil {
		return c, err
	}
	for tag, d := range tags {
		c.tags[d] = append(c.tags[d], tag)
	}
	for _, of := range c.tags {
		slices.Sort(of)
	}
	c.layers, err = digests(s.layersPath(name))
	return c, err
}

// blobs returns all blobs that the repository needs. If an image manifest cannot be read, nobody knows what it needs, so all
// layers that are linked into the repository are needed.
func (c contents) blobs() map[digest.Digest]bool {
	needed := map[digest.Digest]bool{}
	for _, read := range c.documents {
		for _, d := range read.blobs() {
			needed[d] = true
		}
	}
	for _, d := range c.unreadable {
		needed[d] = true
	}
	if len(c.unreadable) > 0 {
		for _, d := range c.layers {
			needed[d] = true
		}
	}
	return needed
}

// children returns the image manifests that belong to indexes in the repository.
func (c contents) children() map[digest.Digest]bool {
	found := map[digest.Digest]bool{}
	for _, read := range c.documents {
		for _, child := range read.children {
			found[child.Digest] = true
		}
	}
	return found
}

// scan reads all repositories.
func (s *Store) scan() ([]contents, error) {
	names, err := s.repositories()
	if err != nil {
		return nil, err
	}
	all := make([]contents, 0, len(names))
	for _, name := range names {
		one, err := s.contents(name)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

// Inventory lists the images and blobs.
func (s *Store) Inventory() (inventory.Inventory, error) {
	listed := inventory.Inventory{Time: time.Now(), Images: []inventory.Image{}}
	all, err := s.scan()
	if err != nil {
		return listed, err
	}
	present := map[inventory.Reference]bool{}
	for _, c := range all {
		for _, image := range s.images(c) {
			present[image.Reference] = true
			listed.Images = append(listed.Images, image)
		}
	}
	for _, p := range s.promised() {
		if image := s.promisedImage(p); !present[image.Reference] {
			listed.Images = append(listed.Images, image)
		}
	}
	slices.SortFunc(listed.Images, func(a, b inventory.Image) int {
		return cmp.Or(cmp.Compare(a.Repository, b.Repository), cmp.Compare(a.Digest, b.Digest))
	})
	listed.Blobs, err = s.Blobs()
	listed.Relied = s.relied(listed.Blobs, listed.Time)
	return listed, err
}

// images returns a repository's images. It omits the untagged image manifests of indexes.
func (s *Store) images(c contents) []inventory.Image {
	var images []inventory.Image
	children := c.children()
	for d, read := range c.documents {
		if children[d] && len(c.tags[d]) == 0 {
			continue
		}
		image := s.image(c, d)
		image.Config, image.Subject, image.Artifact = read.config.Digest, read.subject, !read.image
		image.Blobs = c.needs(read)
		for _, child := range read.children {
			image.Children = append(image.Children, child.Digest)
		}
		for _, tag := range c.tags[d] {
			image.Subject = cmp.Or(image.Subject, ofAnotherTag(tag))
			_, archived := s.Archived(c.name, tag)
			image.Archive = image.Archive || archived
		}
		images = append(images, image)
	}
	for _, d := range c.unreadable {
		image := s.image(c, d)
		image.Blobs, image.Unreadable = []digest.Digest{d}, true
		images = append(images, image)
	}
	return images
}

// image describes an image without its content.
func (s *Store) image(c contents, d digest.Digest) inventory.Image {
	tags := c.tags[d]
	if tags == nil {
		tags = []string{}
	}
	return inventory.Image{
		Reference: inventory.Reference{Repository: c.name, Digest: d}, Tags: tags, LastUsed: s.lastUsed(Key{c.name, d}),
	}
}

// needs returns the blobs that an image needs, including those of an index's image manifests.
func (c contents) needs(read document) []digest.Digest {
	needed := map[digest.Digest]bool{}
	for _, d := range read.blobs() {
		needed[d] = true
	}
	for _, child := range read.children {
		if inner, found := c.documents[child.Digest]; found {
			for _, d := range inner.blobs() {
				needed[d] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(needed))
}

// promisedImage describes a promised image.
func (s *Store) promisedImage(p promise.Promise) inventory.Image {
	image := inventory.Image{
		Reference: inventory.Reference{Repository: p.Repository, Digest: p.Digest()}, Tags: []string{},
		Config: digest.FromBytes(p.Config), Blobs: refers(p.Manifest), Promised: true,
	}
	image.LastUsed = s.lastUsed(Key{p.Repository, image.Digest})
	return image
}
