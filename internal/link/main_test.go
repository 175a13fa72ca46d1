package link

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// must fails the test on an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// needRoot skips a test that only root can run.
func needRoot(t *testing.T, what string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skipf("SKIP: only root can %s", what)
	}
}

// put writes a file and creates its directories.
func put(t *testing.T, path, content string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(content), 0o644))
}

// file is what a container can see of a file.
type file struct {
	Mode     uint32
	UID, GID uint32
	Device   uint64
	Size     int64
	Modified int64  // in nanoseconds
	Link     string // the target of a symbolic link
	Content  string // a digest
	Extended map[string]string
	First    string // the first path with the same inode
}

// describe returns the files below a directory by path. The directory itself is ".".
func describe(t *testing.T, root string) map[string]file {
	t.Helper()
	files, first := map[string]file{}, map[uint64]string{}
	must(t, filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		must(t, err)
		status := stat(t, path)
		if _, seen := first[status.Ino]; !seen {
			first[status.Ino] = name
		}
		found := file{
			Mode: status.Mode, UID: status.Uid, GID: status.Gid, Device: status.Rdev,
			Modified: status.Mtim.Nano(), Extended: extendedOf(t, path), First: first[status.Ino],
		}
		switch status.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			content, err := os.ReadFile(path)
			must(t, err)
			found.Size, found.Content = status.Size, fmt.Sprintf("%x", sha256.Sum256(content))
		case unix.S_IFLNK:
			found.Link, err = os.Readlink(path)
			must(t, err)
		}
		files[name] = found
		return nil
	}))
	return files
}

// stat returns the status of a file, and follows no symbolic link.
func stat(t *testing.T, path string) unix.Stat_t {
	t.Helper()
	var status unix.Stat_t
	if err := unix.Lstat(path, &status); err != nil {
		t.Fatalf("stat %s: %v", path, err)
	}
	return status
}

// extendedOf returns the extended attributes of a file, and follows no symbolic link.
func extendedOf(t *testing.T, path string) map[string]string {
	t.Helper()
	buffer := make([]byte, 64<<10)
	n, err := unix.Llistxattr(path, buffer)
	must(t, err)
	found := map[string]string{}
	for name := range strings.SplitSeq(string(buffer[:n]), "\x00") {
		if name != "" {
			value := make([]byte, 64<<10)
			n, err := unix.Lgetxattr(path, name, value)
			must(t, err)
			found[name] = string(value[:n])
		}
	}
	return found
}

// linked links the files of source into a new directory, and returns its path and the number of files.
func linked(t *testing.T, source string) (target string, files int64) {
	t.Helper()
	target = t.TempDir()
	var count atomic.Int64
	if err := linkTree(t.Context(), source, target, &count); err != nil {
		t.Fatalf("linkTree: %v", err)
	}
	return target, count.Load()
}

// wantSame fails the test unless a container sees the same files in both directories. The owners and modes of the directories
// themselves may differ.
func wantSame(t *testing.T, source, target string) {
	t.Helper()
	want, got := describe(t, source), describe(t, target)
	root := want["."]
	root.Mode, root.UID, root.GID = got["."].Mode, got["."].UID, got["."].GID
	want["."] = root
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files of the target (-want +got):\n%s", diff)
	}
}

// wantNoneOpen fails the test if the process has open files below a directory.
func wantNoneOpen(t *testing.T, directory string) {
	t.Helper()
	open, err := filepath.Glob("/proc/self/fd/*")
	must(t, err)
	var got []string
	for _, fd := range open {
		if path, err := os.Readlink(fd); err == nil && strings.HasPrefix(path, directory) {
			got = append(got, path)
		}
	}
	if len(got) > 0 {
		t.Errorf("open files below %s = %q, want none", directory, got)
	}
}
