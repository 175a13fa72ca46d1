//go:build daemon

package daemon

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"kind-local-registry/internal/rewrite"
	"kind-local-registry/test/dockerd"
	"kind-local-registry/test/testimage"
)

// TestPush_PushesOrRefusesSparseFiles uses a layer in which GNU tar has omitted a file's holes. Docker does not build such layers
// but can load them. Docker's own image store then returns a tar that differs from the loaded one, even with docker save.
func TestPush_PushesOrRefusesSparseFiles(t *testing.T) {
	t.Parallel()
	image := testimage.Image(t, sparseLayer(t))
	eachDaemon(t, func(t *testing.T, d *daemon) {
		d.Load(t, bytes.NewReader(saveArchive(t, image, "sparse/a:1")))
		if d.name == string(dockerd.Containerd) {
			conforms(t, d, "sparse/a:1", image)
			return
		}
		_, err := newService(t, d, t.TempDir()).Push(t.Context(), "sparse/a:1", nil)
		if rewrite.ReasonOf(err) != rewrite.Unservable {
			t.Errorf("Push = %v, want a refusal with %s", err, rewrite.Unservable)
		}
	})
}

// sparseLayer returns a tar archive that contains a file with a hole, but omits the hole.
func sparseLayer(t *testing.T) []byte {
	t.Helper()
	directory := t.TempDir()
	file, err := os.Create(filepath.Join(directory, "sparse"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteAt([]byte("end"), 8<<20); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	layer, err := exec.CommandContext(t.Context(), "tar", "--sparse", "--format", "pax", "-C", directory, "-cf", "-", "sparse").Output()
	if err != nil {
		t.Fatal(err)
	}
	if len(layer) > 1<<20 {
		t.Fatalf("the layer has %d bytes: tar did not omit the hole", len(layer))
	}
	return layer
}
