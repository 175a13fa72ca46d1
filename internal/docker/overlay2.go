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

// overlay2 reads an image where Docker's overlay2 driver keeps it: the configuration as it is, and of each layer the
// files, and what tar-split has noted down to make the layer's tar of them again, byte for byte. Docker promises none of
// this. Where it is otherwise the blob cannot be read or has another digest, and the next source is asked.
type overlay2 struct {
	root  string // Docker's, such as /var/lib/docker
	image Image
}

// Name returns overlay2.
func (overlay2) Name() string { return "overlay2" }

// Blobs yields several blobs at a time. The size of a layer is not known before its end.
func (o overlay2) Blobs(
	ctx context.Context, want []digest.Digest, yield func(d digest.Digest, size int64, blob io.Reader) error,
) error {
	chains := map[digest.Digest]digest.Digest{}
	for i, diffID := range o.image.Layers {
		if _, known := chains[diffID]; !known {
			chains[diffID] = identity.ChainID(o.image.Layers[:i+1])
		}
	}
	return readParallel(ctx, want, func(d digest.Digest) error {
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
		return asYielded(yield(d, -1, layer))
	})
}

// openLayer opens the layer with that chain ID, which names it and all layers below it
// (https://github.com/opencontainers/image-spec/blob/v1.1.1/config.md#layer-chainid).
func (o overlay2) openLayer(chain digest.Digest) (*layerReader, error) {
	metadata := filepath.Join(o.root, "image/overlay2/layerdb/sha256", chain.Encoded())
	cacheID, err := os.ReadFile(filepath.Join(metadata, "cache-id")) // #nosec G304 -- a digest names no other directory
	if err != nil {
		return nil, err
	}
	name := strings.TrimSpace(string(cacheID))
	if !filepath.IsLocal(name) || strings.ContainsRune(name, filepath.Separator) {
		return nil, fmt.Errorf("cache-id %q is not the name of a directory", name)
	}
	split, err := os.Open(filepath.Join(metadata, "tar-split.json.gz")) // #nosec G304
	if err != nil {
		return nil, err
	}
	files, err := os.OpenRoot(filepath.Join(o.root, "overlay2", name, "diff"))
	if err != nil {
		return nil, errors.Join(err, split.Close())
	}
	entries, err := gzip.NewReader(split)
	if err != nil {
		return nil, errors.Join(err, split.Close(), files.Close())
	}
	return &layerReader{split: split, entries: json.NewDecoder(entries), files: files}, nil
}

// forgetFrom is the size in bytes from which on a file is no longer kept in memory once it has been read: the registry has
// it then. Of small files there is little to gain, and they take long to read again, should Docker run the image.
const forgetFrom = 256 << 10

// layerReader is the tar of a layer. It holds no more of it than a tar header.
type layerReader struct {
	split   *os.File
	entries *json.Decoder
	files   *os.Root // names in a layer are an image's: they must not lead out of it
	segment []byte   // what is left of a header or padding
	file    *os.File // the file whose content is being read, or nil
	size    int64    // of that content, in bytes
	left    int64    // of size
}

func (l *layerReader) close() {
	if l.file != nil {
		_ = l.file.Close()
	}
	_ = l.files.Close()
	_ = l.split.Close()
}

// Read reads on in the tar.
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

// readFile reads on in the file. One that is shorter than it was is an error; of a longer one the digest is another.
func (l *layerReader) readFile(p []byte) (int, error) {
	n, err := l.file.Read(p[:min(int64(len(p)), l.left)])
	l.left -= int64(n)
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("file %s: %w", l.file.Name(), io.ErrUnexpectedEOF)
	}
	if l.left == 0 && err == nil {
		if l.size >= forgetFrom {
			pagecache.Forget(l.file, l.size)
		}
		err = l.file.Close()
		l.file = nil
	}
	return n, err
}

// next goes to the next entry, or returns io.EOF.
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

// localName returns a name in a tar as one below the layer's directory.
func localName(name string) string {
	return filepath.Clean(strings.TrimLeft(name, "/"))
}

// yieldFile yields a blob that is a file.
func yieldFile(path string, d digest.Digest, yield func(digest.Digest, int64, io.Reader) error) error {
	file, err := os.Open(path) // #nosec G304 -- a digest names no other directory
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
	return asYielded(yield(d, info.Size(), file))
}
