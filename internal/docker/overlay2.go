package docker

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	"github.com/vbatts/tar-split/tar/storage"

	"kind-local-registry/internal/pagecache"
)

// overlay2 is the source that reads the files of Docker's overlay2 driver. It reads the image's config from its file. It
// reassembles each layer's tar, byte for byte, from the layer's files and from the record that tar-split made. Docker does not
// promise to keep this layout. If the layout differs, a blob cannot be read or does not match its digest, and the next source
// is used.
type overlay2 struct {
	root  string // Docker's data directory, such as /var/lib/docker
	image Image
}

// Name implements push.Source.
func (overlay2) Name() string { return "overlay2" }

// Blobs implements push.Source. It yields several blobs concurrently. A layer's size is unknown until its end.
func (o overlay2) Blobs(
	ctx context.Context, want []digest.Digest, yield func(d digest.Digest, size int64, blob io.Reader) error,
) error {
	chains := map[digest.Digest]digest.Digest{}
	for i, diffID := range o.image.Layers {
		if _, known := chains[diffID]; !known {
			chains[diffID] = identity.ChainID(o.image.Layers[:i+1])
		}
	}
	return readConcurrently(ctx, want, func(d digest.Digest) error {
		if d == o.image.ID {
			return yieldFile(filepath.Join(o.root, "image/overlay2/imagedb/content/sha256", d.Encoded()), d, yield)
		}
		chain, known := chains[d]
		if !known {
			return fmt.Errorf("image %s has no blob %s", o.image.ID, d)
		}
		layer, err := o.openLayer(chain)
		if err != nil {
			return fmt.Errorf("opening layer %s: %w", d, err)
		}
		defer layer.close()
		return asYieldError(yield(d, -1, layer))
	})
}

// openLayer opens the layer with the given chainID, which identifies the layer together with all layers below it
// (https://github.com/opencontainers/image-spec/blob/v1.1.1/config.md#layer-chainid).
func (o overlay2) openLayer(chain digest.Digest) (*layerReader, error) {
	directory, err := layerDirectory(o.root, chain)
	if err != nil {
		return nil, err
	}
	split, err := os.Open(filepath.Join(metadataDirectory(o.root, chain), "tar-split.json.gz")) // #nosec G304 -- a digest cannot name another directory
	if err != nil {
		return nil, err
	}
	files, err := os.OpenRoot(directory)
	if err != nil {
		return nil, errors.Join(err, split.Close())
	}
	entries, err := gzip.NewReader(split)
	if err != nil {
		return nil, errors.Join(err, split.Close(), files.Close())
	}
	return &layerReader{split: split, entries: json.NewDecoder(entries), files: files}, nil
}

// minDropSize is the minimum size in bytes of the files that are dropped from the page cache after they have been read. The
// registry has their content by then. Smaller files remain in the cache: dropping them frees little memory, and makes them slow
// to read if Docker runs the image.
const minDropSize = 256 << 10

// layerReader reads a layer's tar. It buffers at most one tar header.
type layerReader struct {
	split   *os.File
	entries *json.Decoder
	files   *os.Root // keeps file names, which the image controls, from leading out of the layer
	segment []byte   // the unread part of a header or padding
	file    *os.File // the file being read, or nil
	size    int64    // file's size in the tar, in bytes
	left    int64    // the unread part of size
}

func (l *layerReader) close() {
	if l.file != nil {
		_ = l.file.Close()
	}
	_ = l.files.Close()
	_ = l.split.Close()
}

// Read reads the next bytes of the layer's tar.
func (l *layerReader) Read(p []byte) (int, error) {
	for {
		switch {
		case len(p) == 0:
			return 0, nil
		case len(l.segment) > 0:
			n := copy(p, l.segment)
			l.segment = l.segment[n:]
			return n, nil
		case l.file != nil:
			return l.readFile(p)
		}
		if err := l.next(); err != nil {
			return 0, err
		}
	}
}

// readFile reads the next bytes of the current file. If the file has become shorter, readFile returns an error. If the file has
// become longer, readFile reads only the original size.
func (l *layerReader) readFile(p []byte) (int, error) {
	n, err := l.file.Read(p[:min(int64(len(p)), l.left)])
	l.left -= int64(n)
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("file %s: %w", l.file.Name(), io.ErrUnexpectedEOF)
	}
	if l.left == 0 && err == nil {
		if l.size >= minDropSize {
			pagecache.Drop(l.file, l.size)
		}
		err = l.file.Close()
		l.file = nil
	}
	return n, err
}

// next moves to the next entry of tar-split's record. At the end of the record it returns io.EOF.
func (l *layerReader) next() error {
	var entry storage.Entry
	if err := l.entries.Decode(&entry); err != nil {
		return err
	}
	switch {
	case entry.Type == storage.SegmentType:
		l.segment = entry.Payload
	case entry.Type == storage.FileType && entry.Size > 0:
		file, err := l.files.Open(localName(entry.GetName()))
		if err != nil {
			return err
		}
		l.file, l.size, l.left = file, entry.Size, entry.Size
	}
	return nil
}

// localName converts the name of a tar entry into a path below the layer's directory.
func localName(name string) string {
	return filepath.Clean(strings.TrimLeft(name, "/"))
}

// yieldFile yields the blob in a file.
func yieldFile(path string, d digest.Digest, yield func(digest.Digest, int64, io.Reader) error) error {
	file, err := os.Open(path) // #nosec G304 -- a digest cannot lead to another directory
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return &fs.PathError{Op: "read", Path: path, Err: errors.New("not a regular file")}
	}
	return asYieldError(yield(d, info.Size(), file))
}
