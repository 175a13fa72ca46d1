package docker

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
)

// LayerDirectory returns the directory that contains the files of the layer with that chainID, in overlayfs's format. Docker may
// remove the directory at any time; as long as LayerDirectory still returns it, the directory is complete. The error wraps
// fs.ErrNotExist if the daemon has no such layer, or the error of Shared if no layer can be shared. In the containerd image store,
// only the daemon's Store knows the directory.
func (c *Client) LayerDirectory(ctx context.Context, chain digest.Digest) (string, error) {
	layout, err := c.overlay2(ctx)
	if err != nil {
		return "", err
	}
	return layerDirectory(layout.root, chain)
}

// LayersDirectory returns the directory that contains the directories of all layers. Its error is that of LayerDirectory.
func (c *Client) LayersDirectory(ctx context.Context) (string, error) {
	layout, err := c.overlay2(ctx)
	if err != nil {
		return "", err
	}
	return filepath.Join(layout.root, "overlay2"), nil
}

// overlay2 returns the layout of a daemon with the overlay2 driver. It returns an error if no layer can be shared.
func (c *Client) overlay2(ctx context.Context) (Layout, error) {
	layout, err := c.layout(ctx)
	switch {
	case err != nil:
		return Layout{}, err
	case layout.unshared != nil:
		return Layout{}, layout.unshared
	case layout.driver != "overlay2":
		return Layout{}, wrongDriver(layout.driver)
	}
	return layout, nil
}

// layerDirectory returns a layer's directory of the overlay2 driver. The daemon registers a layer only when its directory
// is complete, and removes the registration before the directory.
func layerDirectory(root string, chain digest.Digest) (string, error) {
	if err := chain.Validate(); err != nil {
		return "", fmt.Errorf("layer %q: %w", chain, err)
	}
	cacheID, err := os.ReadFile(filepath.Join(metadataDirectory(root, chain), "cache-id")) // #nosec G304 -- a digest cannot name another directory
	if err != nil {
		return "", err
	}
	name := strings.TrimSpace(string(cacheID))
	if !filepath.IsLocal(name) || strings.ContainsRune(name, filepath.Separator) {
		return "", fmt.Errorf("cache-id %q is not a directory name", name)
	}
	return filepath.Join(root, "overlay2", name, "diff"), nil
}

// metadataDirectory returns the directory that contains what the daemon records about a layer.
func metadataDirectory(root string, chain digest.Digest) string {
	return filepath.Join(root, "image/overlay2/layerdb/sha256", chain.Encoded())
}
