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

	"kind-local-registry/internal/registry/registrytest"
	"kind-local-registry/test/dockerd"
)

// TestPush_FallsBackToSaveIfFilesAreUnreadable moves away a file that Docker itself reads only when it starts.
func TestPush_FallsBackToSaveIfFilesAreUnreadable(t *testing.T) {
	t.Parallel()
	d := daemonOf(t, dockerd.Overlay2)
	noise(t, d, "unreadable/a:1", 500_000, 70)
	image, err := d.Client(t).Image(t.Context(), "unreadable/a:1")
	if err != nil {
		t.Fatal(err)
	}
	chain := chains.ChainID(image.Layers)
	cacheID := filepath.Join(d.Root, "image/overlay2/layerdb/sha256", chain.Encoded(), "cache-id")
	if err := os.Rename(cacheID, cacheID+".away"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Rename(cacheID+".away", cacheID) })

	var log bytes.Buffer
	s := newServiceAt(t, d, registrytest.Start(t, t.TempDir()), slog.NewTextHandler(&log, nil))
	s.pull(t, "unreadable/a", mustPush(t, s, "unreadable/a:1"))
	if !strings.Contains(log.String(), "falling back to the next layer source") || !strings.Contains(log.String(), "cache-id") {
		t.Errorf("the log does not mention the fallback from overlay2 or its cause:\n%s", &log)
	}
}
