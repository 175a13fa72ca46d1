package link

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// run runs a command.
func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if output, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v: %s", name, args, err, output)
	}
}

// disk is a file system in a file, mounted on a directory. Its journal commits only when it is told to.
type disk struct{ kind, image, directory string }

// newDisk mounts an empty disk until the test ends. kind is ext4, xfs or btrfs. The options are those of mkfs.
func newDisk(t *testing.T, kind string, options ...string) disk {
	t.Helper()
	needRoot(t, "mount file systems")
	program := "mkfs." + kind
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("SKIP: %v", err)
	}
	image := filepath.Join(t.TempDir(), kind)
	put(t, image, "")
	sizes := map[string]int64{"ext4": 64 << 20, "btrfs": 256 << 20, "xfs": 320 << 20} // in bytes; no smaller xfs can be made
	must(t, os.Truncate(image, sizes[kind]))
	run(t, program, append(options, "-q", image)...)
	return mount(t, kind, image)
}

// mount mounts the file system in a file until the test ends.
func mount(t *testing.T, kind, image string) disk {
	t.Helper()
	options := map[string]string{"xfs": "loop,nouuid", "ext4": "loop,commit=600", "btrfs": "loop,commit=600"}
	directory := t.TempDir()
	output, err := exec.CommandContext(t.Context(), "mount", "-t", kind, "-o", options[kind], image, directory).CombinedOutput()
	if err != nil {
		t.Skipf("SKIP: mounting %s is refused: %v: %s", kind, err, output)
	}
	t.Cleanup(func() {
		err := unix.Unmount(directory, 0)
		// Until it runs its program, a process that a parallel test starts has all open files of this process.
		for end := time.Now().Add(10 * time.Second); errors.Is(err, unix.EBUSY) && time.Now().Before(end); err = unix.Unmount(directory, 0) {
			time.Sleep(time.Millisecond)
		}
		if err != nil {
			t.Errorf("unmounting %s: %v", directory, err)
		}
	})
	return disk{kind, image, directory}
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
	return mount(t, d.kind, image)
}

// free returns how many bytes are free on the disk.
func (d disk) free(t *testing.T) int64 {
	t.Helper()
	d.sync(t)
	var status unix.Statfs_t
	must(t, unix.Statfs(d.directory, &status))
	return int64(status.Bfree) * status.Bsize
}
