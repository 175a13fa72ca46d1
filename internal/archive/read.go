package archive

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/push"
)

const (
	// maxEntries is the maximum number of entries in an archive, and maxName the maximum length of a name in bytes.
	maxEntries = 100_000
	maxName    = 4096
)

// Staging takes the content of large entries. *push.Staging implements it.
type Staging interface {
	// Add reads the content to its end. known is the digest that the content probably has, or "".
	Add(ctx context.Context, known digest.Digest, size int64, content io.Reader) (*push.Staged, error)
}

// contents are the files of an archive by their cleaned names.
type contents struct {
	blobs   map[string]*blob
	links   map[string]string // from the names of links to the names that they refer to
	staging Staging
	kept    int64
	entries int
}

// read reads the whole archive.
func read(ctx context.Context, source io.Reader, staging Staging) (*contents, error) {
	data, _, end, err := expand(source)
	if err != nil {
		return nil, notReadable(err)
	}
	defer end()
	c := &contents{blobs: map[string]*blob{}, links: map[string]string{}, staging: staging}
	last := ""
	for entries := tar.NewReader(data); ; {
		header, err := entries.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, afterEntry(last, err)
		}
		if err := c.add(ctx, header, entries); err != nil {
			return nil, err
		}
		last = header.Name
	}
	if c.entries == 0 {
		return nil, &Fault{Problem: "is empty"}
	}
	return c, c.readRest(data, last)
}

// notReadable returns the fault of an archive whose first bytes cannot be read.
func notReadable(err error) error {
	f := &Fault{Problem: err.Error()}
	if strings.HasPrefix(f.Problem, "is compressed with") {
		f.Remedy = "decompress it, for example with xz -dc ARCHIVE | setup push --archive -"
	}
	return f
}

// afterEntry returns the fault of an archive that cannot be read after an entry, which is "" at the beginning.
func afterEntry(last string, err error) error {
	switch {
	case last == "" && errors.Is(err, tar.ErrHeader):
		return &Fault{Problem: "is not a tar", Remedy: "give the file that docker save, or another tool, has written"}
	case last == "":
		return &Fault{Problem: "cannot be read: " + explain(err).Error()}
	}
	return &Fault{Entry: last, Problem: fmt.Sprintf("the archive cannot be read after this entry: %v", explain(err))}
}

// readRest reads what follows the tar: the rest of the compressed data with its checksum, and padding.
func (c *contents) readRest(data io.Reader, last string) error {
	buffer := make([]byte, 32<<10)
	for {
		n, err := data.Read(buffer)
		for _, b := range buffer[:n] {
			if b != 0 {
				return &Fault{Entry: last, Problem: "the archive goes on after its end, like several archives in one file"}
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return afterEntry(last, err)
		}
	}
}

// add adds one entry.
func (c *contents) add(ctx context.Context, header *tar.Header, content io.Reader) error {
	c.entries++
	name, err := c.name(header)
	if err != nil || header.Typeflag == tar.TypeDir || header.Typeflag == tar.TypeXGlobalHeader {
		return err
	}
	_, isFile := c.blobs[name]
	if _, isLink := c.links[name]; isFile || isLink {
		return faultf(name, "occurs twice")
	}
	if sparse(header) {
		return faultf(name, "is a sparse file, which archives of images never contain")
	}
	switch header.Typeflag {
	case tar.TypeReg:
		c.blobs[name], err = c.file(ctx, name, header.Size, content)
		return err
	case tar.TypeSymlink:
		target := path.Join(path.Dir(name), header.Linkname) // #nosec G305 -- nothing is extracted, and inside checks it
		c.links[name], err = inside(name, target, path.IsAbs(header.Linkname))
		return err
	case tar.TypeLink:
		c.links[name], err = inside(name, path.Clean(header.Linkname), path.IsAbs(header.Linkname))
		return err
	}
	return faultf(name, "is neither a file, a directory nor a link (tar type %q)", header.Typeflag)
}

// name returns an entry's cleaned name.
func (c *contents) name(header *tar.Header) (string, error) {
	if c.entries > maxEntries {
		return "", faultf(header.Name[:min(len(header.Name), maxName)], "the archive has more than %d entries", maxEntries)
	}
	if len(header.Name) > maxName {
		return "", faultf(header.Name[:64]+"…", "the name has more than %d bytes", maxName)
	}
	return inside(header.Name, path.Clean(header.Name), path.IsAbs(header.Name))
}

// inside returns a cleaned path, or a fault of the entry if the path leaves the archive.
func inside(entry, cleaned string, absolute bool) (string, error) {
	if absolute || cleaned == ".." || strings.HasPrefix(cleaned, "../") || strings.ContainsRune(cleaned, 0) {
		return "", faultf(entry, "leads out of the archive to %q", cleaned)
	}
	return cleaned, nil
}

// sparse reports whether an entry leaves out parts of its content, which may then be much larger than the archive.
func sparse(header *tar.Header) bool {
	if header.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for key := range header.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}
