package store

import (
	"fmt"
	"path/filepath"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// Archive records that the image with the digest was pushed to a tag from an archive. The record has an effect only while the tag
// refers to that image.
func (s *Store) Archive(repository, tag string, d digest.Digest) error {
	path, ok := s.archivePath(repository, tag)
	if !ok {
		return fmt.Errorf("recording an image from an archive: %s:%s is not a tag", repository, tag)
	}
	return WriteLink(path, d)
}

// Archived returns the digest of the image that a tag refers to, if it was pushed from an archive. ok is false if the tag has moved
// since, or if there is no such tag.
func (s *Store) Archived(repository, tag string) (d digest.Digest, ok bool) {
	path, ok := s.archivePath(repository, tag)
	if !ok {
		return "", false
	}
	recorded, ok := readLink(path)
	if !ok {
		return "", false
	}
	current, ok := s.Tag(repository, tag)
	return current, ok && current == recorded
}

// archivePath returns the path of a tag's record. ok is false if the repository and the tag cannot be parts of a path.
func (s *Store) archivePath(repository, tag string) (path string, ok bool) {
	named, err := reference.WithName(repository)
	if err != nil {
		return "", false
	}
	if _, err := reference.WithTag(named, tag); err != nil { // a digest, for example
		return "", false
	}
	return filepath.Join(s.tagsPath(repository), tag, "archive/link"), true
}
