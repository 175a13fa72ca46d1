//go:build daemon

package daemon

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	chains "github.com/opencontainers/image-spec/identity"

	"kind-local-registry/internal/push"
	"kind-local-registry/internal/pusher"
	"kind-local-registry/internal/registry/registrytest"
)

// TestPush_FallsToSaveWhereALayersFilesCannotBeRead takes a file away that Docker itself reads at its start only.
func TestPush_FallsToSaveWhereALayersFilesCannotBeRead(t *testing.T) {
	t.Parallel()
	d := daemonNamed(t, "overlay2")
	noise(t, d, "unreadable/a:1", 500_000, 70)
	image, err := d.client(t).Image(t.Context(), "unreadable/a:1")
	if err != nil {
		t.Fatal(err)
	}
	chain := chains.ChainID(image.Layers)
	cacheID := filepath.Join(d.root, "image/overlay2/layerdb/sha256", chain.Encoded(), "cache-id")
	if err := os.Rename(cacheID, cacheID+".away"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Rename(cacheID+".away", cacheID) })

	url := registrytest.Start(t, t.TempDir())
	registry, err := push.NewRegistry(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(registry.Close)
	var log bytes.Buffer
	s := service{pusher.NewService(d.client(t), registry, "localhost:5001", slog.New(slog.NewTextHandler(&log, nil))), url, registry}
	t.Cleanup(s.Close)
	s.pull(t, "unreadable/a", mustPush(t, s, "unreadable/a:1"))
	if !strings.Contains(log.String(), "layer source handed over to the next") || !strings.Contains(log.String(), "cache-id") {
		t.Errorf("the log does not say that overlay2 could not be read, and why:\n%s", &log)
	}
}
