package link

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// maxCopy is the size in bytes of the largest file that is copied if it can be neither linked nor cloned. The node pulls a layer
// that contains a larger file of this kind.
const maxCopy = 1 << 20

// errTooLarge is the error for a file that is too large to be copied.
var errTooLarge = fmt.Errorf("it can be neither linked nor cloned, and has more than %d bytes", maxCopy)

// openRegular opens a regular file relative to a directory. It returns nil for any other file.
func openRegular(directory *os.File, name string) (*os.File, *unix.Stat_t, error) {
	var status unix.Stat_t
	if err := unix.Fstatat(int(directory.Fd()), name, &status, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return nil, nil, err
	}
	if status.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, nil, nil
	}
	fd, err := unix.Openat(int(directory.Fd()), name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	return os.NewFile(uintptr(fd), name), &status, nil
}

// copyFile creates name in directory as a copy of source. If the file system can clone files (xfs, btrfs), the copy shares the
// blocks of source.
func copyFile(source, directory *os.File, name string, size int64) (err error) {
	const flags = unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Openat(int(directory.Fd()), name, flags, 0o600)
	if err != nil {
		return err
	}
	target := os.NewFile(uintptr(fd), name)
	defer func() { err = errors.Join(err, target.Close()) }()
	if unix.IoctlFileClone(fd, int(source.Fd())) != nil {
		if size > maxCopy {
			return errors.Join(errTooLarge, unix.Unlinkat(int(directory.Fd()), name, 0))
		}
		if _, err := io.Copy(target, source); err != nil {
			return err
		}
		// This starts writing to the disk; awaitWrites waits until it has ended.
		if err := unix.SyncFileRange(fd, 0, 0, unix.SYNC_FILE_RANGE_WRITE); err != nil {
			return err
		}
	}
	return copyAttributes(source, target)
}

// copyAttributes copies owner, mode, extended attributes and times of a directory or regular file. It does so in this order,
// because changing the owner clears the set-user-ID bit and file capabilities, and any change could set the times.
func copyAttributes(from, to *os.File) error {
	var status unix.Stat_t
	if err := unix.Fstat(int(from.Fd()), &status); err != nil {
		return err
	}
	if err := unix.Fchown(int(to.Fd()), int(status.Uid), int(status.Gid)); err != nil {
		return err
	}
	if err := unix.Fchmod(int(to.Fd()), status.Mode&0o7777); err != nil {
		return err
	}
	if err := copyExtended(int(from.Fd()), int(to.Fd())); err != nil {
		return err
	}
	return copyTimes(from, to)
}

// copyTimes copies the times of the last access and modification.
func copyTimes(from, to *os.File) error {
	var status unix.Stat_t
	if err := unix.Fstat(int(from.Fd()), &status); err != nil {
		return err
	}
	// This needs a path, because package unix has no futimens, and AT_EMPTY_PATH would need Linux 5.8.
	times := []unix.Timespec{status.Atim, status.Mtim}
	return unix.UtimesNanoAt(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", to.Fd()), times, 0)
}

// copyExtended copies the extended attributes. Among them is trusted.overlay.opaque, with which overlayfs hides what
// lower layers have in a directory (https://docs.kernel.org/filesystems/overlayfs.html#whiteouts-and-opaque-directories).
func copyExtended(from, to int) error {
	names, err := extended(func(buffer []byte) (int, error) { return unix.Flistxattr(from, buffer) })
	if err != nil {
		return fmt.Errorf("listing extended attributes: %w", err)
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(names), "\x00"), "\x00") {
		if name == "" || name == "security.selinux" { // the kernel sets this label, which depends on the path
			continue
		}
		value, err := extended(func(buffer []byte) (int, error) { return unix.Fgetxattr(from, name, buffer) })
		if err == nil {
			err = unix.Fsetxattr(to, name, value, 0)
		}
		if err != nil {
			return fmt.Errorf("copying extended attribute %s: %w", name, err)
		}
	}
	return nil
}

// extended reads the list or a value of extended attributes. It returns nil if the file system does not support them.
func extended(read func([]byte) (int, error)) ([]byte, error) {
	for buffer := make([]byte, 256); ; buffer = make([]byte, 2*len(buffer)) {
		n, err := read(buffer)
		switch {
		case errors.Is(err, unix.ERANGE):
			continue
		case errors.Is(err, unix.ENOTSUP):
			return nil, nil
		case err != nil:
			return nil, err
		}
		return buffer[:n], nil
	}
}
