package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// This is distribution's layout below the data directory. A link is a file that contains a digest.
//
//	blobs/sha256/AB/ABCD…/data                                a blob
//	repositories/NAME/_layers/sha256/ABCD…/link               the repository has this config or layer
//	repositories/NAME/_manifests/revisions/sha256/ABCD…/link  the repository has this image manifest
//	repositories/NAME/_manifests/tags/TAG/current/link        the tag's image manifest
//	repositories/NAME/_manifests/tags/TAG/index/sha256/ABCD…/link  an image manifest that the tag refers or referred to
//
// We add one more link, which distribution ignores:
//
//	repositories/NAME/_manifests/tags/TAG/archive/link        an image manifest that was pushed from an archive
const (
	blobsDirectory        = "docker/registry/v2/blobs/sha256"
	repositoriesDirectory = "docker/registry/v2/repositories"
	// trashDirectory is where blobs are moved before they are deleted, because moving a large file is much faster.
	trashDirectory = "trash"
)

// hexDigest matches the name of a directory that belongs to a digest.
var hexDigest = regexp.MustCompile(`^[0-9a-f]{64}$`)

// blobPath returns the directory of a blob.
func (s *Store) blobPath(d digest.Digest) string {
	hex := d.Encoded()
	return filepath.Join(s.root, blobsDirectory, hex[:2], hex)
}

// repositoryPath returns the directory of a repository.
func (s *Store) repositoryPath(name string) string {
	return filepath.Join(s.root, repositoriesDirectory, name)
}

// layersPath returns the directory of the links to a repository's configs and layers.
func (s *Store) layersPath(name string) string {
	return filepath.Join(s.repositoryPath(name), "_layers/sha256")
}

// revisionsPath returns the directory of the links to a repository's image manifests.
func (s *Store) revisionsPath(name string) string {
	return filepath.Join(s.repositoryPath(name), "_manifests/revisions/sha256")
}

// tagsPath returns the directory of a repository's tags.
func (s *Store) tagsPath(name string) string {
	return filepath.Join(s.repositoryPath(name), "_manifests/tags")
}

// path returns the directory whose time of modification records when the key was last used.
func (s *Store) path(k Key) string {
	if k.Repository == "" {
		return s.blobPath(k.Digest)
	}
	return filepath.Join(s.revisionsPath(k.Repository), k.Digest.Encoded())
}

// valid reports whether the key's parts can be parts of a path.
func (k Key) valid() bool {
	if k.Digest.Validate() != nil || k.Digest.Algorithm() != digest.SHA256 {
		return false
	}
	return k.Repository == "" || validName(k.Repository)
}

// validName reports whether a repository's name can be part of a path.
func validName(name string) bool {
	named, err := reference.WithName(name)
	return err == nil && named.Name() == name
}

// readLink returns the digest in a link. ok is false if there is no link or if it is damaged.
func readLink(file string) (d digest.Digest, ok bool) {
	content, err := os.ReadFile(file) // #nosec G304 -- a file in the data directory
	if err != nil {
		return "", false
	}
	d, err = digest.Parse(string(content))
	return d, err == nil && d.Algorithm() == digest.SHA256
}

// linked reports whether the directory of a digest contains an intact link.
func linked(directory string, d digest.Digest) bool {
	found, ok := readLink(filepath.Join(directory, d.Encoded(), "link"))
	return ok && found == d
}

// digests returns the digests that have a directory in the directory. It returns none if the directory does not exist.
func digests(directory string) ([]digest.Digest, error) {
	entries, err := readDirectory(directory)
	var found []digest.Digest
	for _, entry := range entries {
		if entry.IsDir() && hexDigest.MatchString(entry.Name()) {
			found = append(found, digest.NewDigestFromEncoded(digest.SHA256, entry.Name()))
		}
	}
	return found, err
}

// readDirectory is like os.ReadDir, but returns nothing if the directory does not exist.
func readDirectory(directory string) ([]fs.DirEntry, error) {
	entries, err := os.ReadDir(directory)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return entries, err
}

// repositories returns the names of all repositories.
func (s *Store) repositories() ([]string, error) {
	top := filepath.Join(s.root, repositoriesDirectory)
	var names []string
	err := filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !entry.IsDir() || !strings.HasPrefix(entry.Name(), "_") {
			return err
		}
		if name, err := filepath.Rel(top, filepath.Dir(path)); err == nil && !slices.Contains(names, name) && validName(name) {
			names = append(names, name)
		}
		return fs.SkipDir
	})
	return names, err
}

// currentTags returns the digest that each tag of a repository refers to. It omits tags whose link is damaged.
func (s *Store) currentTags(name string) (map[string]digest.Digest, error) {
	entries, err := readDirectory(s.tagsPath(name))
	tags := map[string]digest.Digest{}
	for _, entry := range entries {
		if d, ok := readLink(filepath.Join(s.tagsPath(name), entry.Name(), "current/link")); ok {
			tags[entry.Name()] = d
		}
	}
	return tags, err
}

// Tag returns the digest that a tag refers to. ok is false if there is no such tag.
func (s *Store) Tag(repository, tag string) (d digest.Digest, ok bool) {
	if !validName(repository) || !reference.TagRegexp.MatchString(tag) || tag != filepath.Base(tag) {
		return "", false
	}
	return readLink(filepath.Join(s.tagsPath(repository), tag, "current/link"))
}

// Blobs returns the sizes of all blobs in bytes.
func (s *Store) Blobs() (map[digest.Digest]int64, error) {
	top := filepath.Join(s.root, blobsDirectory)
	prefixes, err := readDirectory(top)
	sizes := map[digest.Digest]int64{}
	for _, prefix := range prefixes {
		found, fault := digests(filepath.Join(top, prefix.Name()))
		err = errors.Join(err, fault)
		for _, d := range found {
			if info, fault := os.Stat(filepath.Join(s.blobPath(d), "data")); fault == nil {
				sizes[d] = info.Size()
			}
		}
	}
	return sizes, err
}
