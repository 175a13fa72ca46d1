package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// containerd is the source that reads the files of the containerd image store. Each file is named after its blob's digest.
type containerd struct{ directories []string }

// Name implements push.Source.
func (containerd) Name() string { return "containerd" }

// Blobs implements push.Source. It yields several blobs concurrently.
func (c containerd) Blobs(
	ctx context.Context, want []digest.Digest, yield func(d digest.Digest, size int64, blob io.Reader) error,
) error {
	return readConcurrently(ctx, want, func(d digest.Digest) error {
		path, err := c.path(d)
		if err != nil {
			return err
		}
		return yieldFile(path, d, yield)
	})
}

// document returns the content of a small blob.
func (c containerd) document(_ context.Context, d digest.Digest) ([]byte, error) {
	path, err := c.path(d)
	if err != nil {
		return nil, err
	}
	file, err := os.Open(path) // #nosec G304 -- a digest cannot lead to another directory
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	return readDocument(file, d)
}

// path returns the path of a blob's file.
func (c containerd) path(d digest.Digest) (string, error) {
	for _, directory := range c.directories {
		path := filepath.Join(directory, "blobs", d.Algorithm().String(), d.Encoded())
		_, err := os.Stat(path)
		if err == nil {
			return path, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return "", fmt.Errorf("blob %s: %w", d, fs.ErrNotExist)
}

// sizes returns the sizes of the image's config and layers. It returns an error if a blob's file is missing or has another size.
func (c containerd) sizes(ctx context.Context, id digest.Digest) (map[digest.Digest]int64, error) {
	if err := id.Validate(); err != nil {
		return nil, fmt.Errorf("image manifest %q: %w", id, err)
	}
	content, err := c.document(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("reading image manifest %s: %w", id, err)
	}
	var manifest v1.Manifest
	if err := json.Unmarshal(content, &manifest); err != nil {
		return nil, fmt.Errorf("parsing image manifest %s: %w", id, err)
	}
	sizes := map[digest.Digest]int64{}
	for _, blob := range append(manifest.Layers, manifest.Config) {
		if err := blob.Digest.Validate(); err != nil {
			return nil, fmt.Errorf("image manifest %s: blob %q: %w", id, blob.Digest, err)
		}
		path, err := c.path(blob.Digest)
		if err != nil {
			return nil, err
		}
		file, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		if file.Size() != blob.Size {
			return nil, fmt.Errorf("blob %s has %d bytes, and not %d", blob.Digest, file.Size(), blob.Size)
		}
		sizes[blob.Digest] = blob.Size
	}
	return sizes, nil
}

// readDocument reads a small blob and verifies it.
func readDocument(r io.Reader, d digest.Digest) ([]byte, error) {
	read, err := io.ReadAll(io.LimitReader(r, maxDocument))
	if err != nil {
		return nil, err
	}
	if digest.FromBytes(read) != d {
		return nil, fmt.Errorf("blob %s does not match its digest, or has more than %d bytes", d, maxDocument)
	}
	return read, nil
}
