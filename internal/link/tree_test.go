package link

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestLinkTree_LinksEveryFile(t *testing.T) {
	t.Parallel()
	source := t.TempDir()
	put(t, filepath.Join(source, "a"), "content")
	put(t, filepath.Join(source, "usr/bin/b"), "")
	put(t, filepath.Join(source, "etcetera/c"), "not below /etc")
	must(t, os.Mkdir(filepath.Join(source, "empty"), 0o750))
	must(t, unix.Mkfifo(filepath.Join(source, "fifo"), 0o622))
	links := map[string]string{"relative": "usr/bin/b", "absolute": "/etc/passwd", "dangling": "nothing", "directory": "usr", "up": "../../.."}
	for name, to := range links {
		must(t, os.Symlink(to, filepath.Join(source, name)))
	}
	target, files := linked(t, source)
	wantSame(t, source, target)
	if want := int64(4 + len(links)); files != want {
		t.Errorf("files = %d, want %d", files, want)
	}
	for name, found := range describe(t, target) {
		if found.Mode&unix.S_IFMT != unix.S_IFDIR {
			wantInode(t, source, target, name, true)
		}
	}
}

// wantInode fails the test unless the file's inodes in both directories are the same, or different if same is false.
func wantInode(t *testing.T, source, target, name string, same bool) {
	t.Helper()
	from, to := stat(t, filepath.Join(source, name)), stat(t, filepath.Join(target, name))
	if got := from.Ino == to.Ino && from.Dev == to.Dev; got != same {
		t.Errorf("file %q: same inode = %t, want %t", name, got, same)
	}
}

func TestLinkTree_LinksDevices(t *testing.T) {
	t.Parallel()
	needRoot(t, "create devices")
	source := t.TempDir()
	must(t, os.Mkdir(filepath.Join(source, "etc"), 0o755))
	must(t, unix.Mknod(filepath.Join(source, "whiteout"), unix.S_IFCHR, 0))
	must(t, unix.Mknod(filepath.Join(source, "etc/whiteout"), unix.S_IFCHR, 0)) // linked, because it is not a regular file
	must(t, unix.Mknod(filepath.Join(source, "null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
	must(t, unix.Mknod(filepath.Join(source, "disk"), unix.S_IFBLK|0o660, int(unix.Mkdev(7, 200))))
	target, _ := linked(t, source)
	wantSame(t, source, target)
	for _, name := range []string{"whiteout", "etc/whiteout", "null", "disk"} {
		wantInode(t, source, target, name, true)
	}
}

func TestLinkTree_CopiesAttributesOfDirectories(t *testing.T) {
	t.Parallel()
	source := t.TempDir()
	when := time.Date(2001, 2, 3, 4, 5, 6, 123456789, time.UTC)
	for name, mode := range map[string]uint32{
		"sticky": 0o1777, "setgid": 0o2755, "setuid": 0o4711, "closed": 0o000, "plain/inner": 0o750,
	} {
		directory := filepath.Join(source, name)
		put(t, filepath.Join(directory, "file"), name)
		must(t, unix.Setxattr(directory, "user.name", []byte(name), 0))
		must(t, unix.Setxattr(directory, "user.empty", nil, 0))
		must(t, unix.Setxattr(directory, "user.long", bytes.Repeat([]byte{0, 0xff}, 1000), 0))
		if name != "closed" || os.Geteuid() == 0 { // else it could not be read
			must(t, unix.Chmod(directory, mode))
		}
		must(t, os.Chtimes(directory, when, when))
	}
	must(t, os.Chmod(source, 0o711))
	must(t, os.Chtimes(source, when, when))
	target, _ := linked(t, source)
	wantSame(t, source, target)
}

func TestLinkTree_CopiesAttributesOfRoot(t *testing.T) {
	t.Parallel()
	needRoot(t, "change owners and set trusted attributes")
	source := t.TempDir()
	for _, name := range []string{".", "opaque", "opaque/inner", "etc", "etc/inner"} {
		directory := filepath.Join(source, name)
		put(t, filepath.Join(directory, "program"), name)
		must(t, os.Lchown(directory, 1234, 5678))
		must(t, unix.Setxattr(directory, "trusted.overlay.opaque", []byte("y"), 0))
		program := filepath.Join(directory, "program")
		must(t, os.Lchown(program, 4321, 8765))
		must(t, unix.Chmod(program, 0o6755))
		must(t, unix.Setxattr(program, "security.capability", capability, 0))
		must(t, unix.Setxattr(program, "user.name", []byte(name), 0))
	}
	must(t, os.Symlink("program", filepath.Join(source, "etc/symlink")))
	must(t, os.Lchown(filepath.Join(source, "etc/symlink"), 12, 34))
	target, _ := linked(t, source)
	wantSame(t, source, target)
	wantInode(t, source, target, "opaque/program", true)
	wantInode(t, source, target, "etc/inner/program", false)
}

// TestLinkTree_KeepsOwnerAndModeOfTarget links to a directory with other attributes than the layer. containerd ignores the root
// directory that a tar lists, so a pull does not change them either.
func TestLinkTree_KeepsOwnerAndModeOfTarget(t *testing.T) {
	t.Parallel()
	needRoot(t, "change owners")
	source, target := t.TempDir(), t.TempDir()
	put(t, filepath.Join(source, "file"), "")
	must(t, errors.Join(os.Chmod(source, 0o711), os.Lchown(source, 1, 2), os.Chmod(target, 0o750), os.Lchown(target, 3, 4)))
	must(t, linkTree(t.Context(), source, target, new(atomic.Int64)))
	if got := stat(t, target); got.Mode&0o7777 != 0o750 || got.Uid != 3 || got.Gid != 4 {
		t.Errorf("target: mode %o, owner %d:%d, want 750, 3:4", got.Mode&0o7777, got.Uid, got.Gid)
	}
	wantSame(t, source, target)
}

// TestLinkTree_LeavesOutSockets has a socket that a build left in a layer. No tar can contain it, so a node that pulls does not have
// it.
func TestLinkTree_LeavesOutSockets(t *testing.T) {
	t.Parallel()
	source := t.TempDir()
	put(t, filepath.Join(source, "etc/file"), "")
	for _, name := range []string{"socket", "etc/socket"} {
		must(t, unix.Mknod(filepath.Join(source, name), unix.S_IFSOCK|0o700, 0))
	}
	target, files := linked(t, source)
	if files != 1 {
		t.Errorf("files = %d, want 1", files)
	}
	for _, name := range []string{"socket", "etc/socket"} {
		if _, err := os.Lstat(filepath.Join(target, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("file %s in the target: error %v, want %v", name, err, fs.ErrNotExist)
		}
	}
}

// capability is the value of security.capability of a program with CAP_NET_BIND_SERVICE (struct vfs_cap_data, revision 2).
var capability = []byte{1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0} //nolint:gochecknoglobals // a constant

func TestLinkTree_TakesOddNames(t *testing.T) {
	t.Parallel()
	source := t.TempDir()
	binary := make([]byte, 0, 255)
	for b := 1; b <= 255; b++ {
		if b != '/' {
			binary = append(binary, byte(b))
		}
	}
	for _, name := range []string{
		strings.Repeat("n", 255), string(binary), " ", "-rf", "a\nb", "\xff\xfe", `\`, "...", ".wh.file", "é", "e\u0301",
	} {
		put(t, filepath.Join(source, name), name)
		for _, parent := range []string{"d", "etc"} {
			put(t, filepath.Join(source, parent, name, name), name)
		}
	}
	target, files := linked(t, source)
	wantSame(t, source, target)
	if files != 33 {
		t.Errorf("files = %d, want 33", files)
	}
}

func TestLinkTree_TakesDeepDirectories(t *testing.T) {
	t.Parallel()
	source := t.TempDir()
	directory := source
	for depth := range 300 {
		directory = filepath.Join(directory, fmt.Sprintf("deep%d", depth))
		must(t, os.Mkdir(directory, 0o755))
		put(t, filepath.Join(directory, "file"), "")
	}
	target, files := linked(t, source)
	wantSame(t, source, target)
	if files != 300 {
		t.Errorf("files = %d, want 300", files)
	}
	wantNoneOpen(t, source)
	wantNoneOpen(t, target)
}

func TestLinkTree_TakesManyDirectories(t *testing.T) {
	t.Parallel()
	source := t.TempDir()
	for i := range 2000 {
		put(t, filepath.Join(source, fmt.Sprintf("%d/%d/%d", i%7, i%200, i)), fmt.Sprint(i))
	}
	target, files := linked(t, source)
	wantSame(t, source, target)
	if files != 2000 {
		t.Errorf("files = %d, want 2000", files)
	}
}

func TestLinkTree_CopiesEtcAndSpool(t *testing.T) {
	t.Parallel()
	source := t.TempDir()
	copied := []string{"etc/crontab", "etc/cron.d/job", "var/spool/cron/root"}
	shared := []string{"etcetera", "var/spool.old/file", "usr/etc/file", "var/etc/file"}
	for i, name := range append(append([]string{}, copied...), shared...) {
		path := filepath.Join(source, name)
		put(t, path, name)
		must(t, os.Chmod(path, 0o600+fs.FileMode(i)))
		must(t, os.Chtimes(path, time.Now(), time.Unix(int64(i), 123456789)))
		must(t, unix.Setxattr(path, "user.name", []byte(name), 0))
	}
	must(t, os.Symlink("crontab", filepath.Join(source, "etc/symlink")))
	must(t, os.Symlink("nothing", filepath.Join(source, "etc/dangling")))
	must(t, unix.Mkfifo(filepath.Join(source, "etc/fifo"), 0o600))
	target, _ := linked(t, source)
	wantSame(t, source, target)
	for _, name := range copied {
		wantInode(t, source, target, name, false)
		if got := stat(t, filepath.Join(target, name)).Nlink; got != 1 {
			t.Errorf("links of copied file %s = %d, want 1", name, got)
		}
	}
	for _, name := range append(shared, "etc/symlink", "etc/dangling", "etc/fifo") {
		wantInode(t, source, target, name, true)
	}
}

func TestLinkTree_KeepsHardLinksWithinLayer(t *testing.T) {
	t.Parallel()
	source := t.TempDir()
	for first, again := range map[string]string{"usr/a": "usr", "etc/a": "etc", "var/spool/a": "var/lib", "opt/a": "etc/opt"} {
		put(t, filepath.Join(source, first), first)
		for i := range 20 { // in directories that are linked concurrently
			again := filepath.Join(source, again, fmt.Sprintf("%d/b", i))
			must(t, os.MkdirAll(filepath.Dir(again), 0o755))
			must(t, os.Link(filepath.Join(source, first), again))
		}
	}
	target, _ := linked(t, source)
	wantSame(t, source, target) // compares the hard links in field First
	for _, name := range []string{"usr/3/b", "etc/3/b", "var/lib/3/b", "etc/opt/3/b"} {
		wantInode(t, source, target, name, true)
	}
}

func TestLinkTree_KeepsSparseFiles(t *testing.T) {
	t.Parallel()
	source := t.TempDir()
	put(t, filepath.Join(source, "sparse"), "start")
	must(t, os.Truncate(filepath.Join(source, "sparse"), 64<<20))
	target, _ := linked(t, source)
	wantSame(t, source, target)
	if got := stat(t, filepath.Join(target, "sparse")).Blocks * 512; got > 1<<20 {
		t.Errorf("a sparse file of 64 MiB takes %d bytes, want a few", got)
	}
}

func TestLinkTree_FollowsNoSymbolicLink(t *testing.T) {
	t.Parallel()
	for what, replace := range map[string]func(source, target, outside string) (string, string, error){
		"the source": func(source, target, outside string) (string, string, error) {
			link := filepath.Join(source, "link")
			return link, target, os.Symlink(outside, link)
		},
		"the target": func(source, target, outside string) (string, string, error) {
			link := filepath.Join(target, "link")
			return source, link, os.Symlink(outside, link)
		},
		"a directory of the target": func(source, target, outside string) (string, string, error) {
			return source, target, os.Symlink(outside, filepath.Join(target, "directory"))
		},
		"a copied file of the target": func(source, target, outside string) (string, string, error) {
			return source, target, errors.Join(os.Mkdir(filepath.Join(source, "etc"), 0o700), os.Mkdir(filepath.Join(target, "etc"), 0o700),
				os.WriteFile(filepath.Join(source, "etc/file"), []byte("content"), 0o600),
				os.Symlink(filepath.Join(outside, "new"), filepath.Join(target, "etc/file")))
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			source, target, outside := t.TempDir(), t.TempDir(), t.TempDir()
			put(t, filepath.Join(source, "directory/file"), "content")
			put(t, filepath.Join(outside, "secret"), "secret")
			from, to, err := replace(source, target, outside)
			must(t, err)
			if err := linkTree(t.Context(), from, to, new(atomic.Int64)); err == nil {
				t.Errorf("linkTree with a symbolic link in place of %s: no error", what)
			}
			if got := len(describe(t, outside)); got != 2 {
				t.Errorf("files outside = %d, want only the directory and its file", got)
			}
			wantNoneOpen(t, source)
			wantNoneOpen(t, target)
			wantNoneOpen(t, outside)
		})
	}
}

// openTree opens both directories, and returns them with a tree that links entries of source into target.
func openTree(t *testing.T, source, target string) (tree *tree, from, to *os.File) {
	t.Helper()
	from, err := openDirectory(unix.AT_FDCWD, source)
	must(t, err)
	to, err = openDirectory(unix.AT_FDCWD, target)
	must(t, err)
	t.Cleanup(func() { _, _ = from.Close(), to.Close() })
	return newTree(t.Context(), int(to.Fd()), new(atomic.Int64)), from, to
}

// TestSubdirectory_RefusesSymbolicLinkInItsPlace links an entry that was a directory when its name was read.
func TestSubdirectory_RefusesSymbolicLinkInItsPlace(t *testing.T) {
	t.Parallel()
	source, target, outside := t.TempDir(), t.TempDir(), t.TempDir()
	put(t, filepath.Join(outside, "secret"), "secret")
	must(t, os.Symlink(outside, filepath.Join(source, "directory")))
	tree, from, to := openTree(t, source, target)
	if err := tree.subdirectory(from, to, "directory", "directory"); !errors.Is(err, unix.ENOTDIR) && !errors.Is(err, unix.ELOOP) {
		t.Errorf("subdirectory = %v, want %v", err, unix.ENOTDIR)
	}
	if _, err := os.Lstat(filepath.Join(target, "directory/secret")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file outside was linked: %v", err)
	}
	wantNoneOpen(t, outside)
}

func TestFile_ReturnsErrorIfFileVanished(t *testing.T) {
	t.Parallel()
	tree, from, to := openTree(t, t.TempDir(), t.TempDir())
	for _, name := range []string{"usr/gone", "etc/gone"} {
		if err := tree.file(from, to, "gone", name); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "/"+name) {
			t.Errorf("file = %v, want %v of /%s", err, fs.ErrNotExist, name)
		}
	}
}

func TestLinkTree_ReturnsErrorOfAnyDirectory(t *testing.T) {
	t.Parallel()
	source, target := t.TempDir(), t.TempDir()
	for i := range 200 {
		put(t, filepath.Join(source, fmt.Sprintf("%d/%d/file", i%20, i)), "")
	}
	put(t, filepath.Join(target, "17/137/file"), "in the way") // and so is its directory
	err := linkTree(t.Context(), source, target, new(atomic.Int64))
	if !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), "/17") {
		t.Errorf("linkTree = %v, want %v of /17", err, fs.ErrExist)
	}
	wantNoneOpen(t, source)
	wantNoneOpen(t, target)
}

func TestLinkTree_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	source, target := t.TempDir(), t.TempDir()
	put(t, filepath.Join(source, "directory/file"), "")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var files atomic.Int64
	if err := linkTree(ctx, source, target, &files); !errors.Is(err, context.Canceled) {
		t.Errorf("linkTree = %v, want %v", err, context.Canceled)
	}
	if got := files.Load(); got != 0 {
		t.Errorf("files = %d, want 0", got)
	}
	wantNoneOpen(t, source)
	wantNoneOpen(t, target)
}

func TestLinkTree_ReturnsErrorWithoutDirectory(t *testing.T) {
	t.Parallel()
	there := t.TempDir()
	missing := filepath.Join(there, "missing")
	for _, test := range []struct{ source, target string }{{missing, there}, {there, missing}} {
		if err := linkTree(t.Context(), test.source, test.target, new(atomic.Int64)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("linkTree(%s, %s) = %v, want %v", test.source, test.target, err, fs.ErrNotExist)
		}
	}
	wantNoneOpen(t, there)
}
