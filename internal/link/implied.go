package link

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// errImplied is the error for a directory that the layer's tar possibly does not list, although the tar lists a file in it. Docker
// creates such a directory with default attributes, but containerd copies the attributes of the same directory in a lower layer.
var errImplied = errors.New("possibly the layer does not list this directory, and a pull gives it other attributes")

// checkImplied returns errImplied unless every directory of source, a layer in Docker, has the attributes that it has after a pull.
// below are the directories of the layers below, uppermost first. checkImplied visits only directories that these layers have too.
// It is not meant for layers in Docker's containerd image store: there, containerd has unpacked them, as it does on a node.
func checkImplied(source string, below []string) (err error) {
	root, err := openDirectory(unix.AT_FDCWD, source)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	lowers, err := openAll(below)
	defer func() { err = errors.Join(err, closeAll(lowers)) }()
	if err != nil {
		return err
	}
	return checkSubdirectories(root, lowers, "")
}

// checkSubdirectories checks the directories in a directory. lowers are the same directory in lower layers, uppermost first.
func checkSubdirectories(directory *os.File, lowers []*os.File, name string) error {
	if len(lowers) == 0 {
		return nil
	}
	entries, err := readEntries(directory)
	if err != nil {
		return fmt.Errorf("reading directory /%s: %w", name, err)
	}
	for _, e := range entries {
		if e.kind != fs.ModeDir {
			continue
		}
		if err := checkDirectory(directory, lowers, e.name, path.Join(name, e.name)); err != nil {
			return err
		}
	}
	return nil
}

// checkDirectory checks the directory name in parent. below is its path in the layer.
func checkDirectory(parent *os.File, parents []*os.File, name, below string) (err error) {
	directory, err := openDirectory(int(parent.Fd()), name)
	if err != nil {
		return fmt.Errorf("opening directory /%s: %w", below, err)
	}
	var lowers []*os.File
	defer func() { err = errors.Join(err, directory.Close(), closeAll(lowers)) }()
	for _, parent := range parents {
		lower, err := openDirectory(int(parent.Fd()), name)
		if errors.Is(err, unix.ENOENT) {
			continue
		}
		if err != nil {
			break // not a directory: it hides those of the layers below
		}
		lowers = append(lowers, lower)
	}
	if len(lowers) == 0 {
		return nil
	}
	attributes, err := attributesOf(directory)
	if err != nil {
		return fmt.Errorf("reading the attributes of directory /%s: %w", below, err)
	}
	after, err := attributesOf(lowers[0])
	if err != nil {
		return fmt.Errorf("reading the attributes of directory /%s in a lower layer: %w", below, err)
	}
	if attributes.isDefault() && attributes != after {
		return fmt.Errorf("directory /%s: %w", below, errImplied)
	}
	return checkSubdirectories(directory, lowers, below)
}

// attributes are the attributes of a directory, without its times.
type attributes struct {
	mode, uid, gid uint32
	extended       string // the names of its extended attributes, without those that containerd does not copy
}

// isDefault reports whether Docker gives these attributes to a directory that a layer does not list. Old versions of Docker use the
// mode 0777.
func (a attributes) isDefault() bool {
	return a == attributes{mode: 0o755} || a == attributes{mode: 0o777}
}

// attributesOf returns the attributes of an open directory.
func attributesOf(directory *os.File) (attributes, error) {
	var status unix.Stat_t
	if err := unix.Fstat(int(directory.Fd()), &status); err != nil {
		return attributes{}, err
	}
	list, err := extended(func(buffer []byte) (int, error) { return unix.Flistxattr(int(directory.Fd()), buffer) })
	if err != nil {
		return attributes{}, err
	}
	names := slices.DeleteFunc(strings.Split(string(list), "\x00"), func(name string) bool {
		return strings.HasPrefix(name, "trusted.") || name == "security.selinux"
	})
	return attributes{status.Mode & 0o7777, status.Uid, status.Gid, strings.Join(names, "\x00")}, nil
}

// openAll opens directories. Even on an error, the caller must close those that it returns.
func openAll(names []string) (opened []*os.File, err error) {
	for _, name := range names {
		directory, err := openDirectory(unix.AT_FDCWD, name)
		if err != nil {
			return opened, err
		}
		opened = append(opened, directory)
	}
	return opened, nil
}

func closeAll(files []*os.File) (err error) {
	for _, file := range files {
		err = errors.Join(err, file.Close())
	}
	return err
}
