package link

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"kind-local-registry/internal/link/linkapi"
)

// reflinkDisks runs a test on each file system that can clone files.
func reflinkDisks(t *testing.T, test func(t *testing.T, disk disk)) {
	t.Helper()
	for _, kind := range []string{"xfs", "btrfs"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			disk := newDisk(t, kind)
			if !cloneable(t, disk.directory) {
				t.Fatalf("%s cannot clone files", kind)
			}
			test(t, disk)
		})
	}
}

// largeFile is the size in bytes of a file that is too large to be copied.
const largeFile = 32 * maxCopy

// putLarge writes a file of largeFile random bytes, which no file system can store in less space.
func putLarge(t *testing.T, path string) {
	t.Helper()
	content := make([]byte, largeFile)
	_, _ = rand.Read(content) // it never fails
	put(t, path, string(content))
}

// wantCloned links source to a new directory of the disk. It fails the test unless both have the same files, name is a file of
// its own in each, and the target takes almost no disk space.
func (d disk) wantCloned(t *testing.T, source, name string) {
	t.Helper()
	target := filepath.Join(d.directory, "target")
	must(t, os.Mkdir(target, 0o755))
	before := d.free(t)
	if err := linkTree(t.Context(), source, target, new(atomic.Int64)); err != nil {
		t.Fatalf("linkTree: %v", err)
	}
	if used := before - d.free(t); used > largeFile/4 {
		t.Errorf("the target takes %d bytes, want less than the %d bytes of the file", used, largeFile)
	}
	wantSame(t, source, target)
	wantInode(t, source, target, name, false)
	if got := stat(t, filepath.Join(target, name)).Nlink; got != 1 {
		t.Errorf("links of %s = %d, want 1", name, got)
	}
}

func TestLinkTree_ClonesLargeImmutableFile(t *testing.T) {
	t.Parallel()
	reflinkDisks(t, func(t *testing.T, disk disk) {
		source := filepath.Join(disk.directory, "source")
		path := filepath.Join(source, "usr/immutable")
		putLarge(t, path)
		must(t, os.Lchown(path, 1, 2))
		must(t, unix.Chmod(path, 0o4711))
		must(t, unix.Setxattr(path, "security.capability", capability, 0))
		setImmutable(t, path)
		disk.wantCloned(t, source, "usr/immutable")
	})
}

func TestLinkTree_ClonesLargeConfigurationFile(t *testing.T) {
	t.Parallel()
	reflinkDisks(t, func(t *testing.T, disk disk) {
		source := filepath.Join(disk.directory, "source")
		putLarge(t, filepath.Join(source, "etc/udev/hwdb.bin"))
		disk.wantCloned(t, source, "etc/udev/hwdb.bin")
	})
}

// TestLinkTree_ClonesLargeFileWithTooManyLinks uses btrfs, because a file has at most 65,535 links there, and 2³¹-1 on xfs.
func TestLinkTree_ClonesLargeFileWithTooManyLinks(t *testing.T) {
	t.Parallel()
	disk := newDisk(t, "btrfs")
	source, links := filepath.Join(disk.directory, "source"), filepath.Join(disk.directory, "links")
	path := filepath.Join(source, "usr/file")
	putLarge(t, path)
	must(t, os.Mkdir(links, 0o755))
	var err error
	for i := 0; err == nil; i++ {
		err = os.Link(path, filepath.Join(links, fmt.Sprint(i)))
	}
	if !errors.Is(err, unix.EMLINK) {
		t.Fatalf("linking a file without end = %v, want %v", err, unix.EMLINK)
	}
	disk.wantCloned(t, source, "usr/file")
}

func TestLink_LinksWholeImageOnReflinkDisk(t *testing.T) {
	t.Parallel()
	reflinkDisks(t, func(t *testing.T, disk disk) {
		e := newEnvIn(t, disk.directory)
		node, other := e.addNode(t, 2), e.addNode(t, 3)
		diffIDs, chains := e.image(t, "a", "b", "c")
		if got := e.linker.Check(t.Context(), diffIDs); got != (linkapi.State{}) {
			t.Errorf("Check = %+v, want no reason", got)
		}
		want := linkapi.Result{Node: node.name, Layers: 3, Linked: 3, Files: 3 * filesPerLayer}
		if got, err := e.linker.Link(t.Context(), node.address, diffIDs, ignore); err != nil || got != want {
			t.Errorf("Link = %+v, %v, want %+v", got, err, want)
		}
		wantSnapshots(t, node, chains...)
		e.wantLayers(t, node, chains...)
		must(t, e.remove(chains...))
		if got, err := e.linker.Link(t.Context(), other.address, diffIDs, ignore); err != nil || !got.Complete() {
			t.Errorf("Link from the other node = %+v, %v, want a complete image", got, err)
		}
		wantSnapshots(t, other, chains...)
	})
}
