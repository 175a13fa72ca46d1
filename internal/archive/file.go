package archive

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path"
	"regexp"

	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/push"
)

const (
	// maxDocument is the size in bytes of the largest document that is read. Registries have the same limit for image manifests.
	maxDocument = 4 << 20
	// maxSmall is the size in bytes up to which any file stays in memory, and maxKept is the limit for all of them.
	maxSmall = 64 << 10
	maxKept  = 64 << 20
	// maxLinks is how many links may lead to a file.
	maxLinks = 8
)

// hexName matches a file name that contains a digest.
var hexName = regexp.MustCompile(`(?:^|/|sha256:)([0-9a-f]{64})(?:/layer)?(?:\.tar|\.tar\.gz|\.json)?$`)

// file reads a file. It keeps small files and documents in memory, as long as all of them do not exceed a limit.
func (c *contents) file(ctx context.Context, name string, size int64, content io.Reader) (*blob, error) {
	inspected := inspect()
	source := &failing{reader: io.TeeReader(content, inspected)}
	found, err := c.store(ctx, name, size, source)
	ended := inspected.end()
	switch {
	case source.err != nil:
		return nil, faultf(name, "the archive ends in this entry, or is damaged there: %v", explain(source.err))
	case err != nil:
		return nil, fmt.Errorf("storing %s in the registry: %w", name, err)
	case ended.size != size:
		return nil, faultf(name, "has %d bytes instead of %d", ended.size, size)
	case found.staged != nil && found.staged.Present && ended.digest != known(name):
		return nil, faultf(name, "%v: it is %s", push.ErrMismatch, ended.digest)
	}
	ended.content, ended.staged = found.content, found.staged
	return &ended, nil
}

// store keeps the content in memory, or stages it in the registry.
func (c *contents) store(ctx context.Context, name string, size int64, source io.Reader) (found blob, err error) {
	start, err := peek(source, size)
	if err != nil {
		return blob{}, err
	}
	content := io.MultiReader(bytes.NewReader(start), source)
	if c.kept+size <= maxKept && (size <= maxSmall || size <= maxDocument && start[0] == '{') {
		c.kept += size
		found.content, err = io.ReadAll(content)
		return found, err
	}
	found.staged, err = c.staging.Add(ctx, known(name), size, content)
	return found, err
}

// peek reads the first byte of a file that is not empty.
func peek(r io.Reader, size int64) ([]byte, error) {
	start := make([]byte, min(size, 1))
	_, err := io.ReadFull(r, start)
	return start, err
}

// known returns the digest in a file's name, or "".
func known(name string) digest.Digest {
	found := hexName.FindStringSubmatch(name)
	if found == nil {
		return ""
	}
	return digest.NewDigestFromEncoded(digest.SHA256, found[1])
}

// failing records the error of a reader.
type failing struct {
	reader io.Reader
	err    error
}

// Read implements io.Reader.
func (f *failing) Read(p []byte) (int, error) {
	n, err := f.reader.Read(p)
	if err != nil && err != io.EOF {
		f.err = err
	}
	return n, err
}

// find returns the file with a name, which may be a link, and the file's own name.
func (c *contents) find(name string) (*blob, string, error) {
	name = path.Clean(name)
	for range maxLinks {
		if found := c.blobs[name]; found != nil {
			return found, name, nil
		}
		target, linked := c.links[name]
		if !linked {
			return nil, name, faultf(name, "is missing in the archive")
		}
		name = target
	}
	return nil, name, faultf(name, "is a link that leads through more than %d links", maxLinks)
}

// has reports whether the archive has a file with that name.
func (c *contents) has(name string) bool {
	_, _, err := c.find(name)
	return err == nil
}

// document returns the content of a file that must be a small JSON document.
func (c *contents) document(name string) ([]byte, error) {
	found, name, err := c.find(name)
	if err != nil {
		return nil, err
	}
	if found.content == nil {
		return nil, faultf(name, "is too large for a document, or is not one: it has %d bytes, the limits are %d for one and %d for all",
			found.size, maxDocument, maxKept)
	}
	return found.content, nil
}
