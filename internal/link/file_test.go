package link

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// elsewhere returns a directory on a different file system than t.TempDir. It skips the test if there is none.
func elsewhere(t *testing.T) string {
	t.Helper()
	directory, err := os.MkdirTemp("/dev/shm", "link") //nolint:usetesting // another file system
	if err != nil {
		t.Skipf("SKIP: no other file system: %v", err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(directory) })
	if stat(t, directory).Dev == stat(t, t.TempDir()).Dev {
		t.Skip("SKIP: /dev/shm is on the file system of TMPDIR")
	}
	return directory
}

func TestLinkTree_CopiesSmallFilesToOtherFileSystem(t *testing.T) {
	t.Parallel()
	source, target := t.TempDir(), elsewhere(t)
	put(t, filepath.Join(source, "usr/bin/a"), "content")
	put(t, filepath.Join(source, "largest"), "")
	must(t, os.Truncate(filepath.Join(source, "largest"), maxCopy))
	must(t, os.Chmod(filepath.Join(source, "usr/bin/a"), 0o751))
	must(t, os.Chtimes(filepath.Join(source, "usr/bin/a"), time.Now(), time.Unix(1, 123456789)))
	must(t, os.Link(filepath.Join(source, "usr/bin/a"), filepath.Join(source, "usr/b")))
	if err := linkTree(t.Context(), source, target, new(atomic.Int64)); err != nil {
		t.Fatalf("linkTree: %v", err)
	}
	wantSame(t, source, target)
	wantInode(t, source, target, "usr/bin/a", false)
}

func TestLinkTree_CopiesAttributesToOtherFileSystem(t *testing.T) {
	t.Parallel()
	needRoot(t, "change owners and set trusted attributes")
	source, target := t.TempDir(), elsewhere(t)
	program := filepath.Join(source, "directory/program")
	put(t, program, "content")
	must(t, os.Lchown(program, 1, 2))
	must(t, unix.Chmod(program, 0o6711))
	must(t, unix.Setxattr(program, "security.capability", capability, 0))
	must(t, unix.Setxattr(filepath.Dir(program), "trusted.overlay.opaque", []byte("y"), 0))
	if err := linkTree(t.Context(), source, target, new(atomic.Int64)); err != nil {
		t.Fatalf("linkTree: %v", err)
	}
	wantSame(t, source, target)
}

func TestLinkTree_RefusesWhatItCannotCopy(t *testing.T) {
	t.Parallel()
	for what, test := range map[string]struct {
		create func(path string) error
		want   error
	}{
		"a large file": {func(path string) error {
			return errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, maxCopy+1))
		}, errTooLarge},
		"a symbolic link": {func(path string) error { return os.Symlink("/etc/passwd", path) }, unix.EXDEV},
		"a FIFO":          {func(path string) error { return unix.Mkfifo(path, 0o600) }, unix.EXDEV},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			source, target := t.TempDir(), elsewhere(t)
			must(t, test.create(filepath.Join(source, "file")))
			if err := linkTree(t.Context(), source, target, new(atomic.Int64)); !errors.Is(err, test.want) {
				t.Errorf("linkTree of %s to another file system = %v, want %v", what, err, test.want)
			}
			wantNoneOpen(t, source)
			wantNoneOpen(t, target)
		})
	}
}

func TestLinkTree_LinksLargeConfigurationFile(t *testing.T) {
	t.Parallel()
	source := t.TempDir()
	clones := cloneable(t, source)
	put(t, filepath.Join(source, "etc/udev/hwdb.bin"), "")
	must(t, os.Truncate(filepath.Join(source, "etc/udev/hwdb.bin"), maxCopy+1))
	must(t, os.Link(filepath.Join(source, "etc/udev/hwdb.bin"), filepath.Join(source, "etc/again")))
	target, _ := linked(t, source)
	wantSame(t, source, target)
	wantInode(t, source, target, "etc/again", !clones)
}

// cloneable reports whether the file system of a directory can clone files.
func cloneable(t *testing.T, directory string) bool {
	t.Helper()
	from, err := os.CreateTemp(directory, "clone")
	must(t, err)
	to, err := os.CreateTemp(directory, "clone")
	must(t, err)
	err = unix.IoctlFileClone(int(to.Fd()), int(from.Fd()))
	must(t, errors.Join(from.Close(), to.Close(), os.Remove(from.Name()), os.Remove(to.Name())))
	return err == nil
}

// setImmutable makes a file or directory immutable until the test ends. It skips the test if that is refused.
func setImmutable(t *testing.T, path string) {
	t.Helper()
	needRoot(t, "make files immutable")
	opened, err := os.Open(path)
	must(t, err)
	t.Cleanup(func() {
		if err := errors.Join(unix.IoctlSetPointerInt(int(opened.Fd()), unix.FS_IOC_SETFLAGS, 0), opened.Close()); err != nil {
			t.Logf("making %s mutable: %v", path, err)
		}
	})
	const immutable = 0x10 // FS_IMMUTABLE_FL
	if err := unix.IoctlSetPointerInt(int(opened.Fd()), unix.FS_IOC_SETFLAGS, immutable); err != nil {
		t.Skipf("SKIP: the file system has no immutable files: %v", err)
	}
}

func TestLinkTree_CopiesImmutableFile(t *testing.T) {
	t.Parallel()
	source := t.TempDir()
	path := filepath.Join(source, "usr/immutable")
	put(t, path, "content")
	put(t, filepath.Join(source, "usr/mutable"), "content")
	setImmutable(t, path)
	target, _ := linked(t, source)
	wantSame(t, source, target)
	wantInode(t, source, target, "usr/immutable", false)
	wantInode(t, source, target, "usr/mutable", true)
}

// maxLinks is how many links a file has on ext4.
const maxLinks = 65000

func TestLinkTree_CopiesFileWithTooManyLinks(t *testing.T) {
	t.Parallel()
	source, links := t.TempDir(), t.TempDir()
	path := filepath.Join(source, "usr/file")
	put(t, path, "content")
	for i := 1; i < maxLinks; i++ {
		if err := os.Link(path, filepath.Join(links, fmt.Sprint(i))); err != nil {
			t.Fatalf("link %d: %v", i, err)
		}
	}
	if err := os.Link(path, filepath.Join(links, "last")); !errors.Is(err, unix.EMLINK) {
		t.Skipf("SKIP: %v for link %d, so the file system is not ext4", err, maxLinks)
	}
	target, _ := linked(t, source)
	wantSame(t, source, target)
	wantInode(t, source, target, "usr/file", false)
	if got := stat(t, filepath.Join(target, "usr/file")).Nlink; got != 1 {
		t.Errorf("links of the copy = %d, want 1", got)
	}
}
