package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"syscall"
)

// mostLinked is the most disk space that a linked image may take on a node, as a percentage of the image's size. Its directories
// are not included. A pulled image takes more than 100 percent.
const mostLinked = 1

// directoryBytes is the disk space of a directory with a few files on ext4.
const directoryBytes = 4096

// disk records the disk space that an image takes on a node.
type disk struct {
	Case   string `json:"case"`
	Method string `json:"method"`
	Round  int    `json:"round"`
	// Bytes is the disk space that the node uses alone, and Image is the image's size; both are in bytes.
	Bytes int64 `json:"bytes"`
	Image int64 `json:"image"`
}

// percent returns the disk space as a percentage of the image's size.
func (d disk) percent() float64 { return 100 * float64(d.Bytes) / float64(d.Image) }

// checkLinked returns an error if the image takes more disk space than a linked image of the case may take.
func (d disk) checkLinked(s subject) error {
	directories := int64(s.directories()) * directoryBytes
	if most := d.Image*mostLinked/100 + directories; d.Bytes > most {
		return fmt.Errorf("the layers were not linked: they take %d bytes on the node, %.1f%% of the image's size; want at most %d bytes",
			d.Bytes, d.percent(), most)
	}
	return nil
}

// ownBytes returns the disk space of what containerd has on a node and does not share with anything else on the host. It first
// collects containerd's garbage, such as layers that have been unpacked.
func (h *host) ownBytes(ctx context.Context, node string) (int64, error) {
	if _, err := h.inNode(ctx, node, collectGarbage); err != nil {
		return 0, err
	}
	if _, err := h.command(ctx, "", "sync"); err != nil { // blocks may be allocated to files only now
		return 0, err
	}
	volume, err := h.mount(ctx, node, "/var")
	if err != nil {
		return 0, err
	}
	return ownBytes(filepath.Join(volume, "lib/containerd"))
}

// imageSize returns the size of an image in the daemon, in bytes.
func (h *host) imageSize(ctx context.Context, image string) (int64, error) {
	out, err := h.command(ctx, "", "docker", "image", "inspect", "--format", "{{.Size}}", image)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(out, 10, 64)
}

// inode is a file with several links.
type inode struct {
	links, found uint64 // number of links, and how many of them are in the directory
	bytes        int64  // disk space
}

// sharedFiles are files with several links, by inode number.
type sharedFiles map[uint64]*inode

// add adds a link to a file.
func (f sharedFiles) add(status syscall.Stat_t) {
	if f[status.Ino] == nil {
		f[status.Ino] = &inode{links: uint64(status.Nlink), bytes: 512 * status.Blocks} //nolint:unconvert // uint32 on arm64
	}
	f[status.Ino].found++
}

// ownBytes returns the disk space of the directories and files in a directory, except of files that also have a link outside it.
// It does not enter mount points, and does not count what is removed in the meantime.
func ownBytes(directory string) (total int64, err error) {
	var root syscall.Stat_t
	if err := syscall.Lstat(directory, &root); err != nil {
		return 0, err
	}
	shared := sharedFiles{}
	err = filepath.WalkDir(directory, func(path string, entry fs.DirEntry, err error) error {
		var status syscall.Stat_t
		if err == nil {
			err = syscall.Lstat(path, &status)
		}
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case status.Dev != root.Dev && entry.IsDir():
			return fs.SkipDir
		case status.Dev != root.Dev:
			return nil
		case entry.IsDir() || status.Nlink == 1:
			total += 512 * status.Blocks
			return nil
		}
		shared.add(status)
		return nil
	})
	for _, file := range shared {
		if file.found == file.links {
			total += file.bytes
		}
	}
	return total, err
}
