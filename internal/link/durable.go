package link

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// makeDurable returns once the tree that linkTree has just made would survive a power failure. ext4 and xfs write all changes of
// names and inodes in order to one journal, so it is enough to sync the tree's top directory, which was changed last. They do not
// write file contents in that order, so linkTree has already waited for these. Other file systems, such as btrfs, log each
// directory separately, so the whole file system is synced.
func makeDurable(path string) (err error) {
	directory, err := openDirectory(unix.AT_FDCWD, path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, directory.Close()) }()
	var status unix.Statfs_t
	if err := unix.Fstatfs(int(directory.Fd()), &status); err != nil {
		return &os.PathError{Op: "statfs", Path: path, Err: err}
	}
	if status.Type == unix.EXT4_SUPER_MAGIC || status.Type == unix.XFS_SUPER_MAGIC {
		return directory.Sync()
	}
	return unix.Syncfs(int(directory.Fd()))
}
