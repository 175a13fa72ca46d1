package store

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/inventory"
)

// Remove removes images with their tags, and then every blob that no image needs. It keeps what is being used or was used after
// removal.UnusedSince. It can run at any time: clients find either a whole image or none.
func (s *Store) Remove(removal inventory.Removal) (inventory.Removed, error) {
	s.changing.Lock()
	defer s.changing.Unlock()
	removed := inventory.Removed{Images: []inventory.Reference{}, Kept: []inventory.Reference{}}
	read := map[string]contents{} // by repository
	for _, image := range removal.Images {
		gone, err := s.removeImage(image, read, removal.UnusedSince)
		if err != nil {
			return removed, fmt.Errorf("removing %s@%s: %w", image.Repository, image.Digest, err)
		}
		if gone {
			removed.Images = append(removed.Images, image)
		} else {
			removed.Kept = append(removed.Kept, image)
		}
	}
	err := s.sweep(removal.UnusedSince, &removed)
	return removed, errors.Join(err, s.emptyTrash())
}

// removeImage removes an image manifest or index from its repository, unless it is used. It also removes the image manifests of
// an index, if they have no tags and belong to no other index. read contains the repositories that were read before; an index that
// has arrived since then uses its image manifests.
func (s *Store) removeImage(image inventory.Reference, read map[string]contents, since time.Time) (gone bool, err error) {
	key := Key(image)
	if image.Repository == "" || !key.valid() {
		return false, errors.New("no valid repository and digest")
	}
	c, known := read[image.Repository]
	if !known {
		if c, err = s.contents(image.Repository); err != nil {
			return false, err
		}
		read[image.Repository] = c
	}
	gone, err = s.unlink(key, since)
	if err != nil || !gone {
		return gone, err
	}
	index := c.documents[image.Digest]
	delete(c.documents, image.Digest)
	needed := c.children()
	for _, child := range index.children {
		if !needed[child.Digest] && len(c.tags[child.Digest]) == 0 {
			if _, err := s.unlink(Key{image.Repository, child.Digest}, since); err != nil {
				return true, err
			}
		}
	}
	return true, nil
}

// unlink removes an image manifest or index from its repository, with all tags that refer to it. It returns false if it is used.
// In the meantime, no request can begin to use the image or write one of its tags.
func (s *Store) unlink(k Key, since time.Time) (gone bool, err error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.usedAfter(k, since) {
		return false, nil
	}
	tags, err := readDirectory(s.tagsPath(k.Repository))
	if err != nil {
		return false, err
	}
	for _, tag := range tags {
		directory := filepath.Join(s.tagsPath(k.Repository), tag.Name())
		if current, ok := readLink(filepath.Join(directory, "current/link")); ok && current == k.Digest {
			err = errors.Join(err, os.RemoveAll(directory))
		} else {
			err = errors.Join(err, os.RemoveAll(filepath.Join(directory, "index/sha256", k.Digest.Encoded())))
		}
	}
	if err == nil {
		err = os.RemoveAll(s.path(k))
	}
	delete(s.uses, k)
	return err == nil, err
}

// sweep removes the blobs that no image needs, and the links to them.
func (s *Store) sweep(since time.Time, removed *inventory.Removed) error {
	all, err := s.scan()
	if err != nil {
		return err
	}
	// The promises are read after the image manifests, because the manifest of a promised image arrives before its promise ends.
	needed := map[digest.Digest]bool{}
	for _, p := range s.promised() {
		for _, d := range refers(p.Manifest) {
			needed[d] = true
		}
	}
	for _, c := range all {
		here := c.blobs()
		for d := range here {
			needed[d] = true
		}
		for _, d := range c.layers {
			if !here[d] {
				err = errors.Join(err, s.dropLink(c.name, d, since))
			}
		}
	}
	blobs, fault := s.Blobs()
	if err = errors.Join(err, fault); err != nil {
		return err // without the whole list, a blob that is needed could be removed
	}
	for d, size := range blobs {
		if needed[d] {
			removed.Left += size
			continue
		}
		gone, fault := s.discard(d, since)
		err = errors.Join(err, fault)
		if gone {
			removed.Blobs++
			removed.Bytes += size
		} else {
			removed.Left += size
		}
	}
	return err
}

// dropLink removes the link to a config or layer from a repository, unless the blob is used.
func (s *Store) dropLink(repository string, d digest.Digest, since time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.usedAfter(Key{Digest: d}, since) {
		return nil
	}
	return os.RemoveAll(filepath.Join(s.layersPath(repository), d.Encoded()))
}

// discard moves a blob to the trash, unless it is used.
func (s *Store) discard(d digest.Digest, since time.Time) (gone bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := Key{Digest: d}
	if s.usedAfter(key, since) {
		return false, nil
	}
	if err := s.moveToTrash(filepath.Join(s.blobPath(d), "data")); err != nil {
		return false, fmt.Errorf("removing blob %s: %w", d, err)
	}
	_ = os.Remove(s.blobPath(d)) // fails if another file is in it, which does no harm
	delete(s.uses, key)
	s.forget(d)
	return true, nil
}

// moveToTrash moves a file to the trash. If that fails, for example because the disk is full, it deletes the file.
func (s *Store) moveToTrash(file string) error {
	trash := filepath.Join(s.root, trashDirectory)
	err := os.MkdirAll(trash, 0o700)
	if err == nil {
		err = os.Rename(file, filepath.Join(trash, rand.Text()))
	}
	if err == nil {
		return nil
	}
	if err := os.Remove(file); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// emptyTrash deletes the blobs in the trash.
func (s *Store) emptyTrash() error {
	if err := os.RemoveAll(filepath.Join(s.root, trashDirectory)); err != nil {
		return fmt.Errorf("deleting removed blobs: %w", err)
	}
	return nil
}
