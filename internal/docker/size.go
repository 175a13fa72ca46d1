package docker

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	"github.com/vbatts/tar-split/tar/storage"
	"golang.org/x/sync/errgroup"
)

// Sizes returns the sizes in bytes of the blobs that a push of the image uploads. It does not read the layers' files, but adds up
// the sizes that Docker recorded for each layer's tar. In the containerd image store, the blobs are files, and the error wraps
// fs.ErrNotExist if one of them is missing.
func (c *Client) Sizes(ctx context.Context, image Image) (map[digest.Digest]int64, error) {
	layout, err := c.layout(ctx)
	if err != nil {
		return nil, err
	}
	if image.Containerd {
		return containerd{layout.Directories()}.sizes(ctx, image.Manifest)
	}
	if layout.driver != "overlay2" {
		return nil, wrongDriver(layout.driver)
	}
	config, err := os.Stat(filepath.Join(layout.root, "image/overlay2/imagedb/content/sha256", image.ID.Encoded()))
	if err != nil {
		return nil, fmt.Errorf("reading the size of config %s: %w", image.ID, err)
	}
	sizes := map[digest.Digest]int64{image.ID: config.Size()}
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxConcurrentReads)
	for i, diffID := range image.Layers {
		group.Go(func() error {
			size, err := c.layerSize(ctx, layout.root, diffID, identity.ChainID(image.Layers[:i+1]))
			mu.Lock()
			defer mu.Unlock()
			sizes[diffID] = size
			return err
		})
	}
	return sizes, group.Wait()
}

// layerSize returns the size of the layer's tar.
func (c *Client) layerSize(ctx context.Context, root string, diffID, chain digest.Digest) (size int64, err error) {
	c.mu.Lock()
	size, known := c.sizes[diffID]
	c.mu.Unlock()
	if known {
		return size, nil
	}
	if size, err = sumTarSplit(ctx, filepath.Join(metadataDirectory(root, chain), "tar-split.json.gz")); err != nil {
		return 0, fmt.Errorf("reading the size of layer %s: %w", diffID, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.sizes) >= maxSizes {
		clear(c.sizes)
	}
	c.sizes[diffID] = size
	return size, nil
}

// maxSizes is how many layer sizes are remembered.
const maxSizes = 4096

// sumTarSplit returns the size in bytes of the tar that a tar-split record describes.
func sumTarSplit(ctx context.Context, path string) (size int64, err error) {
	file, err := os.Open(path) // #nosec G304 -- a digest cannot name another directory
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		return 0, err
	}
	for entries := json.NewDecoder(unzipped); ctx.Err() == nil; {
		var entry storage.Entry
		if err := entries.Decode(&entry); errors.Is(err, io.EOF) {
			return size, nil
		} else if err != nil {
			return 0, err
		}
		if entry.Type == storage.SegmentType {
			size += int64(len(entry.Payload))
		} else {
			size += entry.Size
		}
	}
	return 0, ctx.Err()
}
