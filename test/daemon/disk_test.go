//go:build daemon

package daemon

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"kind-local-registry/internal/push"
	"kind-local-registry/internal/registry/registrytest"
	"kind-local-registry/test/dockerd"
)

// TestPush_NeedsDaemonDiskSpaceOnlyForSave fills a daemon's disk. The layers can still be read, but a push that uses docker save
// fails, because the daemon first writes the whole image to that disk.
func TestPush_NeedsDaemonDiskSpaceOnlyForSave(t *testing.T) {
	t.Parallel()
	d := smallDockerd(t, "64m")
	noise(t, d, "full/a:1", 6_000_000, 50)
	s := newService(t, d, t.TempDir())
	free := fillDisk(t, d.Root)
	s.pull(t, "full/a", mustPush(t, s, "full/a:1"))

	registry, err := push.NewRegistry(registrytest.Start(t, t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	defer registry.Close()
	if err := pushBySave(t, d, registry, "full/a:1"); err == nil || !strings.Contains(err.Error(), "no space left on device") {
		t.Errorf("pushing by save from a full disk = %v, want an error about the disk", err)
	}
	free()
	if err := pushBySave(t, d, registry, "full/a:1"); err != nil {
		t.Errorf("pushing by save after freeing space: %v", err)
	}
}

// pushBySave pushes the image with docker save as the only source, as if the daemon's files could not be read.
func pushBySave(t *testing.T, d *daemon, registry *push.Registry, reference string) error {
	t.Helper()
	c := d.Client(t)
	image, err := c.Image(t.Context(), reference)
	if err != nil {
		t.Fatal(err)
	}
	contents, err := c.Contents(t.Context(), image)
	if err != nil {
		t.Fatal(err)
	}
	save := contents.Sources[len(contents.Sources)-1]
	if save.Name() != "save" {
		t.Fatalf("the last source is %s, want save", save.Name())
	}
	contents.Sources = []push.Source{save}
	_, err = registry.Push(t.Context(), push.Target{Repository: "a", Reference: "1"}, contents, push.Options{})
	return err
}

// smallDockerd starts a daemon with a disk of the given size.
func smallDockerd(t *testing.T, size string) *daemon {
	t.Helper()
	mounted := ""
	started, err := dockerd.Start(dockerd.Overlay2, func(data string) error {
		mounted = data
		return unix.Mount("tmpfs", data, "tmpfs", 0, "size="+size)
	})
	if err != nil {
		t.Fatalf("starting a daemon on a small disk: %v", err)
	}
	t.Cleanup(func() {
		started.Stop()
		_ = unix.Unmount(mounted, unix.MNT_DETACH)
		_ = os.RemoveAll(filepath.Dir(mounted))
	})
	return &daemon{Daemon: started, name: "small", sources: 2}
}

// fillDisk fills the disk that contains the directory. Calling free frees the space again.
func fillDisk(t *testing.T, directory string) (free func()) {
	t.Helper()
	name := filepath.Join(directory, "filler")
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(file, io.LimitReader(endless{}, 1<<30))
	if closed := file.Close(); closed != nil || !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("filling the disk: %v, %v; want %v", err, closed, syscall.ENOSPC)
	}
	return func() {
		if err := os.Remove(name); err != nil {
			t.Error(err)
		}
	}
}

// endless is a reader that never ends.
type endless struct{}

// Read fills p.
func (endless) Read(p []byte) (int, error) { return copy(p, bytes.Repeat([]byte{'x'}, len(p))), nil }
