package link

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestLink_LeavesNothingOnAFullDisk fills the disk of Docker and the node. Below /etc, the second layer has files, which need
// blocks; elsewhere, it has directories, which also need inodes.
func TestLink_LeavesNothingOnAFullDisk(t *testing.T) {
	t.Parallel()
	for what, test := range map[string]struct {
		content string // where the second layer has its files
		fill    func(t *testing.T, directory string) (free func())
		files   int
	}{
		"no inodes":                 {"usr/%d/file", fillInodes, 300},
		"no blocks for directories": {"usr/%d/file", fillBlocks, 300},
		"no blocks for files":       {"etc/%d", fillBlocks, 20},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			e := newEnvIn(t, newDisk(t, "ext4", "-N", "2048", "-m", "0").directory)
			node := e.addNode(t, 2)
			diffIDs, chains := e.image(t, "a", "b", "c")
			for i := range test.files {
				put(t, filepath.Join(e.layer(chains[1]), fmt.Sprintf(test.content, i)), fmt.Sprintf("%09000d", i))
			}
			if _, err := e.linker.Link(t.Context(), node.address, diffIDs[:1], ignore); err != nil {
				t.Fatalf("Link of the first layer: %v", err)
			}
			free := test.fill(t, e.root)
			before := usage(t, e.root)
			got, err := e.linker.Link(t.Context(), node.address, diffIDs, ignore)
			if !errors.Is(err, unix.ENOSPC) || got.Linked != 0 {
				t.Errorf("Link on a full disk = %+v, %v, want no layer and %v", got, err, unix.ENOSPC)
			}
			wantSnapshots(t, node, chains[0])
			if after := usage(t, e.root); after != before {
				t.Errorf("free inodes and blocks = %v, want %v as before", after, before)
			}
			free()
			if got, err := e.linker.Link(t.Context(), node.address, diffIDs, ignore); err != nil || got.Linked != 2 {
				t.Errorf("Link with free space = %+v, %v, want two layers", got, err)
			}
			wantSnapshots(t, node, chains...)
			e.wantLayers(t, node, chains...)
		})
	}
}

// usage returns the numbers of free inodes and free blocks of a file system.
func usage(t *testing.T, directory string) [2]uint64 {
	t.Helper()
	fd, err := os.Open(directory)
	must(t, err)
	must(t, unix.Syncfs(int(fd.Fd()))) // so that ext4 has allocated the blocks of all files
	must(t, fd.Close())
	var status unix.Statfs_t
	must(t, unix.Statfs(directory, &status))
	return [2]uint64{status.Ffree, status.Bfree}
}

// fillInodes uses all inodes but a hundred. free frees them again.
func fillInodes(t *testing.T, directory string) (free func()) {
	t.Helper()
	filler := filepath.Join(directory, "filler")
	must(t, os.Mkdir(filler, 0o700))
	for i := usage(t, directory)[0]; i > 100; i-- {
		must(t, os.WriteFile(filepath.Join(filler, fmt.Sprint(i)), nil, 0o600))
	}
	return func() { must(t, os.RemoveAll(filler)) }
}

// fillBlocks uses all blocks but 40. free frees them again.
func fillBlocks(t *testing.T, directory string) (free func()) {
	t.Helper()
	filler, reserve := filepath.Join(directory, "filler"), filepath.Join(directory, "reserve")
	must(t, os.WriteFile(reserve, make([]byte, 40<<12), 0o600))
	file, err := os.Create(filler)
	must(t, err)
	_, err = io.Copy(file, io.LimitReader(zeros{}, 1<<30))
	if closed := file.Close(); !errors.Is(err, unix.ENOSPC) || closed != nil {
		t.Fatalf("filling the disk: %v, %v, want %v", err, closed, unix.ENOSPC)
	}
	must(t, os.Remove(reserve))
	return func() { must(t, os.Remove(filler)) }
}

// zeros is a reader that never ends.
type zeros struct{}

// Read fills p with zeros.
func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
