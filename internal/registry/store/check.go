package store

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"kind-local-registry/internal/inventory"
)

// Check returns the images and tags that cannot be pulled, and the damaged links. With repair, it writes a damaged link again if
// the blob that the link refers to is present. It does not compare blobs with their digests.
func (s *Store) Check(repair bool) ([]inventory.Fault, error) {
	s.changing.Lock()
	defer s.changing.Unlock()
	names, err := s.repositories()
	if err != nil {
		return nil, err
	}
	sizes, err := s.Blobs()
	if err != nil {
		return nil, err
	}
	faults := []inventory.Fault{}
	for _, name := range names {
		c := checker{store: s, name: name, sizes: sizes, repair: repair, relinked: map[digest.Digest]bool{}}
		err = errors.Join(err, c.tags(), c.images())
		faults = append(faults, c.faults...)
	}
	return faults, err
}

// checker checks one repository.
type checker struct {
	store    *Store
	name     string
	sizes    map[digest.Digest]int64 // of all blobs
	repair   bool
	relinked map[digest.Digest]bool // image manifests whose link is missing, but that a tag refers or referred to
	faults   []inventory.Fault
}

// tags checks the tags' links, and finds image manifests whose own links are missing.
func (c *checker) tags() error {
	entries, err := readDirectory(c.store.tagsPath(c.name))
	for _, entry := range entries {
		err = errors.Join(err, c.tag(entry.Name()))
	}
	return err
}

// tag checks one tag's links.
func (c *checker) tag(tag string) error {
	directory := filepath.Join(c.store.tagsPath(c.name), tag)
	history := filepath.Join(directory, "index/sha256")
	known, err := digests(history)
	if err != nil {
		return err
	}
	current, ok := readLink(filepath.Join(directory, "current/link"))
	for _, d := range known {
		switch {
		case linked(history, d):
		case ok && d != current:
			err = errors.Join(err, c.past(history, d, current, tag))
		default:
			err = errors.Join(err, c.link(filepath.Join(history, d.Encoded(), "link"), d, tag))
		}
		c.wantRevision(d)
	}
	if _, present := c.sizes[current]; ok && (present || slices.Contains(known, current)) { // otherwise the digest itself is damaged
		c.wantRevision(current)
		if !slices.Contains(known, current) {
			err = errors.Join(err, c.link(filepath.Join(history, current.Encoded(), "link"), current, tag))
		}
		return err
	}
	if last := c.last(history, known); last != "" {
		return errors.Join(err, c.link(filepath.Join(directory, "current/link"), last, tag))
	}
	c.faults = append(c.faults, inventory.Fault{Problem: inventory.TagLost, Repository: c.name, Tags: []string{tag}})
	return err
}

// past reports a damaged link in a tag's history, and repairs it. The tag refers to the image current by now. The repaired link gets an
// older time than the link to that image, because last goes by the time.
func (c *checker) past(history string, d, current digest.Digest, tag string) error {
	file, newest := filepath.Join(history, d.Encoded(), "link"), time.Now()
	if err := c.link(file, d, tag); err != nil || !c.repair {
		return err
	}
	if info, err := os.Stat(filepath.Join(history, current.Encoded(), "link")); err == nil {
		newest = info.ModTime()
	}
	return os.Chtimes(file, time.Time{}, newest.Add(-time.Second))
}

// wantRevision records that the repository should have an image manifest, if the manifest is still a blob. The link of a manifest
// that was deleted through the API of another registry may be missing, too.
func (c *checker) wantRevision(d digest.Digest) {
	if _, present := c.sizes[d]; !linked(c.store.revisionsPath(c.name), d) && present {
		c.relinked[d] = true
	}
}

// last returns the image that a tag referred to last, according to the tag's history. It returns "" if that is unknown.
func (c *checker) last(history string, known []digest.Digest) (last digest.Digest) {
	var newest time.Time
	for _, d := range known {
		info, err := os.Stat(filepath.Join(history, d.Encoded(), "link"))
		if _, present := c.sizes[d]; err == nil && present && info.ModTime().After(newest) {
			last, newest = d, info.ModTime()
		}
	}
	return last
}

// link reports a damaged link, and repairs it.
func (c *checker) link(file string, d digest.Digest, tags ...string) error {
	fault := inventory.Fault{Problem: inventory.LinkDamaged, Repository: c.name, Digest: d, Tags: tags}
	var err error
	if c.repair {
		err = WriteLink(file, d)
		fault.Repaired = err == nil
	}
	c.faults = append(c.faults, fault)
	return err
}

// images checks that every image manifest of the repository has its link, and that all of its blobs are present and linked.
func (c *checker) images() error {
	directory := c.store.revisionsPath(c.name)
	revisions, err := digests(directory)
	if err != nil {
		return err
	}
	tags, err := c.store.currentTags(c.name)
	for tag, d := range tags {
		if _, present := c.sizes[d]; !present && !slices.Contains(revisions, d) {
			c.faults = append(c.faults, inventory.Fault{
				Problem: inventory.ManifestLost, Repository: c.name, Digest: d, Tags: []string{tag}, Missing: []digest.Digest{d},
			})
		}
	}
	for d := range c.relinked {
		if !slices.Contains(revisions, d) {
			revisions = append(revisions, d)
		}
	}
	slices.Sort(revisions)
	for _, d := range revisions {
		if !linked(directory, d) {
			err = errors.Join(err, c.link(filepath.Join(directory, d.Encoded(), "link"), d, tagsOf(tags, d)...))
		}
		err = errors.Join(err, c.image(d, tagsOf(tags, d)))
	}
	return err
}

// image checks the blobs of an image manifest or index.
func (c *checker) image(d digest.Digest, tags []string) error {
	fault := inventory.Fault{Repository: c.name, Digest: d, Tags: tags}
	read, err := c.store.read(d)
	if err != nil {
		fault.Problem, fault.Missing = inventory.ManifestLost, []digest.Digest{d}
		c.faults = append(c.faults, fault)
		return nil //nolint:nilerr // the fault says it
	}
	fault.Problem, fault.Config = inventory.BlobsLost, read.config.Digest
	isChild := func(d digest.Digest) bool {
		return slices.ContainsFunc(read.children, func(child v1.Descriptor) bool { return child.Digest == d })
	}
	var faults []error
	for _, blob := range read.descriptors() {
		directory := c.store.layersPath(c.name)
		if isChild(blob.Digest) {
			directory = c.store.revisionsPath(c.name)
		}
		size, present := c.sizes[blob.Digest]
		switch {
		case !present && len(blob.URLs) > 0: // nodes get it from elsewhere
		case !present || blob.Size > 0 && size != blob.Size:
			fault.Missing = append(fault.Missing, blob.Digest)
		case !linked(directory, blob.Digest):
			faults = append(faults, c.link(filepath.Join(directory, blob.Digest.Encoded(), "link"), blob.Digest, tags...))
		}
	}
	if len(fault.Missing) > 0 {
		c.faults = append(c.faults, fault)
	}
	return errors.Join(faults...)
}

// tagsOf returns the sorted tags that refer to the digest.
func tagsOf(tags map[string]digest.Digest, d digest.Digest) []string {
	var of []string
	for tag, current := range tags {
		if current == d {
			of = append(of, tag)
		}
	}
	slices.Sort(of)
	return of
}

// WriteLink writes a link, and its directory. The link becomes visible only when it is complete.
func WriteLink(file string, d digest.Digest) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil { // #nosec G301 G703 -- like distribution's driver
		return err
	}
	half := filepath.Join(filepath.Dir(file), ".link-"+rand.Text())
	if err := os.WriteFile(half, []byte(d), 0o666); err != nil { // #nosec G306 G703 -- like distribution's driver
		return err
	}
	return os.Rename(half, file) // #nosec G703 -- the callers validate the repository
}
