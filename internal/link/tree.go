package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// maxConcurrentDirectories is how many directories of one layer are linked concurrently. The kernel serializes most of the
// work in its journal, so a higher limit is no faster.
const maxConcurrentDirectories = 4

// tree makes one directory tree (the target) a copy of another (the source), with hard links to its files. Every path is opened
// relative to its directory and without following symbolic links, so that no name in a layer can lead out of it.
type tree struct {
	group *errgroup.Group
	ctx   context.Context //nolint:containedctx // the group's
	top   int             // file descriptor of the target
	files *atomic.Int64   // the number of files linked or copied so far

	several sync.Mutex // locked while a file with several links is copied

	mu     sync.Mutex
	copied map[uint64]string // path of the copy, by inode
}

// linkTree makes target, an empty directory, a copy of the directory source. It adds the number of files to files. The owners,
// modes, times and extended attributes of directories are copied. On an error, target is incomplete. The directory target itself
// is changed last, once the content of copied files is on the disk; makeDurable depends on this. It keeps its owner and mode,
// because a pull does not change them either.
func linkTree(ctx context.Context, source, target string, files *atomic.Int64) (err error) {
	from, err := openDirectory(unix.AT_FDCWD, source)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	to, err := openDirectory(unix.AT_FDCWD, target)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	t := newTree(ctx, int(to.Fd()), files)
	t.group.Go(func() error { return t.entries(from, to, "") })
	if err := t.group.Wait(); err != nil {
		return err
	}
	if err := t.awaitWrites(); err != nil {
		return err
	}
	if err := errors.Join(copyExtended(int(from.Fd()), int(to.Fd())), copyTimes(from, to)); err != nil {
		return fmt.Errorf("copying the attributes of directory /: %w", err)
	}
	return nil
}

// newTree returns a tree whose target is open as top.
func newTree(ctx context.Context, top int, files *atomic.Int64) *tree {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxConcurrentDirectories)
	return &tree{group: group, ctx: ctx, top: top, files: files, copied: map[uint64]string{}}
}

// awaitWrites returns when the content of the copied files is on the disk. copyFile has started writing it.
func (t *tree) awaitWrites() error {
	for _, name := range t.copied {
		const wait = unix.SYNC_FILE_RANGE_WAIT_BEFORE | unix.SYNC_FILE_RANGE_WRITE | unix.SYNC_FILE_RANGE_WAIT_AFTER
		fd, err := unix.Openat(t.top, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err == nil {
			err = errors.Join(unix.SyncFileRange(fd, 0, 0, wait), unix.Close(fd))
		}
		if err != nil {
			return fmt.Errorf("writing /%s: %w", name, err)
		}
	}
	return nil
}

// directory links the entries of a directory below the root, and closes both directories. name is its path in the layer.
func (t *tree) directory(from, to *os.File, name string) (err error) {
	defer func() { err = errors.Join(err, from.Close(), to.Close()) }()
	if err := t.entries(from, to, name); err != nil {
		return err
	}
	if err := copyAttributes(from, to); err != nil { // last, because every new entry changes the directory's time
		return fmt.Errorf("copying the attributes of directory /%s: %w", name, err)
	}
	return nil
}

// entries links the entries of a directory. name is its path in the layer; "" for the root.
func (t *tree) entries(from, to *os.File, name string) error {
	entries, err := readEntries(from)
	if err != nil {
		return fmt.Errorf("reading directory /%s: %w", name, err)
	}
	for _, e := range entries {
		if err := t.ctx.Err(); err != nil {
			return err
		}
		below := path.Join(name, e.name)
		switch e.kind {
		case fs.ModeDir:
			err = t.subdirectory(from, to, e.name, below)
		case fs.ModeSocket: // a build has left it; a tar cannot contain it
		default:
			err = t.file(from, to, e.name, below)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// subdirectory creates a directory and links its entries, in another goroutine if one is free.
func (t *tree) subdirectory(from, to *os.File, name, below string) error {
	if err := unix.Mkdirat(int(to.Fd()), name, 0o700); err != nil {
		return fmt.Errorf("creating directory /%s: %w", below, err)
	}
	source, err := openDirectory(int(from.Fd()), name)
	if err != nil {
		return fmt.Errorf("opening directory /%s: %w", below, err)
	}
	target, err := openDirectory(int(to.Fd()), name)
	if err != nil {
		return errors.Join(fmt.Errorf("opening directory /%s: %w", below, err), source.Close())
	}
	work := func() error { return t.directory(source, target, below) }
	if t.group.TryGo(work) {
		return nil
	}
	return work()
}

// file links or copies one entry that is not a directory.
func (t *tree) file(from, to *os.File, name, below string) error {
	t.files.Add(1)
	if isCopied(below) {
		done, err := t.copy(from, to, name, below, 1)
		if done || err != nil && !errors.Is(err, errTooLarge) {
			return err
		}
	}
	err := unix.Linkat(int(from.Fd()), name, int(to.Fd()), name, 0)
	// EMLINK: the inode has as many links as the file system allows (65,000 on ext4). EXDEV: the target is on another mount or
	// file system. EPERM: the file is immutable, or the file system has no hard links.
	if errors.Is(err, unix.EMLINK) || errors.Is(err, unix.EXDEV) || errors.Is(err, unix.EPERM) {
		done, copyErr := t.copy(from, to, name, below, math.MaxUint32)
		if done || copyErr != nil {
			return copyErr
		}
	}
	if err != nil {
		return fmt.Errorf("linking /%s: %w", below, err)
	}
	return nil
}

// isCopied reports whether a file is copied although it could be linked, if it has one link in the layer. Daemons such as Debian's
// cron ignore configuration files with more than one link. A file that is too large to be copied, such as /etc/udev/hwdb.bin, is
// linked, because no such daemon reads it.
func isCopied(name string) bool {
	return strings.HasPrefix(name, "etc/") || strings.HasPrefix(name, "var/spool/")
}

// copy copies one regular file that has at most maxLinks links. It returns false for any other file. Hard links between copied
// files are kept.
func (t *tree) copy(from, to *os.File, name, below string, maxLinks uint64) (done bool, err error) {
	source, status, err := openRegular(from, name)
	if err != nil {
		return false, fmt.Errorf("opening /%s: %w", below, err)
	}
	if source == nil {
		return false, nil
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	if status.Nlink > maxLinks {
		return false, nil
	}
	if status.Nlink > 1 {
		t.several.Lock()
		defer t.several.Unlock()
		t.mu.Lock()
		first, copied := t.copied[status.Ino]
		t.mu.Unlock()
		if copied {
			return true, unix.Linkat(t.top, first, int(to.Fd()), name, 0)
		}
	}
	if err := copyFile(source, to, name, status.Size); err != nil {
		return false, fmt.Errorf("copying /%s: %w", below, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.copied[status.Ino] = below
	return true, nil
}

// entry is an entry of a directory.
type entry struct {
	name string
	kind fs.FileMode // the bits of fs.ModeType
}

// readEntries returns the entries of the directory.
func readEntries(directory *os.File) ([]entry, error) {
	var entries []entry
	for {
		some, err := directory.ReadDir(1024)
		for _, e := range some {
			entries = append(entries, entry{e.Name(), e.Type()})
		}
		if errors.Is(err, io.EOF) {
			return entries, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// openDirectory opens a directory, relative to another, for reading.
func openDirectory(at int, name string) (*os.File, error) {
	fd, err := unix.Openat(at, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}
