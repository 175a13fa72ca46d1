package link

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

func TestMakeDurable_TakesAnyFileSystem(t *testing.T) {
	t.Parallel()
	for _, directory := range []string{t.TempDir(), elsewhere(t)} {
		if err := makeDurable(directory); err != nil {
			t.Errorf("makeDurable(%s): %v", directory, err)
		}
		wantOpen(t, directory, 0)
	}
}

func TestMakeDurable_ReturnsErrorWithoutDirectory(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	if err := makeDurable(filepath.Join(directory, "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("makeDurable = %v, want %v", err, fs.ErrNotExist)
	}
	link := filepath.Join(directory, "link")
	must(t, os.Symlink(directory, link))
	if err := makeDurable(link); err == nil {
		t.Error("makeDurable of a symbolic link: no error")
	}
}

// run runs a command.
func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if output, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v: %s", name, args, err, output)
	}
}

// mount mounts the ext4 file system in a file until the test ends.
func mount(t *testing.T, image string) (directory string) {
	t.Helper()
	directory = t.TempDir()
	// The journal commits only when it is told to.
	if output, err := exec.CommandContext(t.Context(), "mount", "-o", "loop,commit=600", image, directory).CombinedOutput(); err != nil {
		t.Skipf("SKIP: mounting a file system is refused: %v: %s", err, output)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(directory, 0); err != nil {
			t.Errorf("unmounting %s: %v", directory, err)
		}
	})
	return directory
}

// disk is a mounted ext4 file system whose journal commits only when it is told to.
type disk struct{ image, directory string }

// newDisk mounts an empty disk until the test ends.
func newDisk(t *testing.T) disk {
	t.Helper()
	needRoot(t, "mount file systems")
	if _, err := exec.LookPath("mkfs.ext4"); err != nil {
		t.Skipf("SKIP: %v", err)
	}
	image := filepath.Join(t.TempDir(), "ext4")
	put(t, image, "")
	must(t, os.Truncate(image, 64<<20))
	run(t, "mkfs.ext4", "-q", image)
	return disk{image, mount(t, image)}
}

// sync writes everything to the disk.
func (d disk) sync(t *testing.T) {
	t.Helper()
	run(t, "sync", "-f", d.directory)
}

// crash returns a copy of the disk: what would be there after a power failure now.
func (d disk) crash(t *testing.T) disk {
	t.Helper()
	image := filepath.Join(t.TempDir(), "copy")
	run(t, "cp", d.image, image)
	return disk{image, mount(t, image)}
}

func TestMakeDurable_SurvivesPowerFailure(t *testing.T) {
	t.Parallel()
	disk := newDisk(t)
	source, target := filepath.Join(disk.directory, "source"), filepath.Join(disk.directory, "target")
	for i := range 500 {
		name := fmt.Sprintf("%d/%d", i%50, i)
		put(t, filepath.Join(source, "usr", name), name)
		put(t, filepath.Join(source, "etc", name), name)
	}
	must(t, os.Mkdir(target, 0o755))
	disk.sync(t)
	if err := linkTree(t.Context(), source, target, new(atomic.Int64)); err != nil {
		t.Fatalf("linkTree: %v", err)
	}
	before := disk.crash(t)
	must(t, makeDurable(target))
	after := disk.crash(t)

	if got := len(describe(t, filepath.Join(before.directory, "target"))); got > 1000 {
		t.Errorf("files before makeDurable = %d, so this test shows nothing", got)
	}
	wantSame(t, source, filepath.Join(after.directory, "target"))
}

// A directory that ends after its parent, when the journal has already committed the parent.
func TestMakeDurable_CommitsDirectoriesThatEndLate(t *testing.T) {
	t.Parallel()
	disk := newDisk(t)
	target := filepath.Join(disk.directory, "target")
	put(t, filepath.Join(target, "usr/early"), "content")
	disk.sync(t)
	must(t, os.Link(filepath.Join(target, "usr/early"), filepath.Join(target, "usr/late")))
	must(t, makeDurable(target))
	wantSame(t, target, filepath.Join(disk.crash(t).directory, "target"))
}
