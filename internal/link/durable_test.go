package link

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMakeDurable_TakesAnyFileSystem(t *testing.T) {
	t.Parallel()
	for _, directory := range []string{t.TempDir(), elsewhere(t)} {
		if err := makeDurable(directory); err != nil {
			t.Errorf("makeDurable(%s): %v", directory, err)
		}
		wantNoneOpen(t, directory)
	}
}

func TestMakeDurable_ReturnsErrorWithoutDirectory(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	if err := makeDurable(filepath.Join(directory, "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("makeDurable = %v, want %v", err, fs.ErrNotExist)
	}
	link := filepath.Join(directory, "link")
	must(t, os.Symlink(directory, link))
	if err := makeDurable(link); err == nil {
		t.Error("makeDurable of a symbolic link: no error")
	}
}

// TestMakeDurable_SurvivesPowerFailure needs another way to sync on btrfs than on ext4 and xfs.
func TestMakeDurable_SurvivesPowerFailure(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"ext4", "xfs", "btrfs"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			disk := newDisk(t, kind)
			source, empty := filepath.Join(disk.directory, "source"), filepath.Join(disk.directory, "empty")
			for i := range 300 {
				name := fmt.Sprintf("%d/%d", i%50, i)
				put(t, filepath.Join(source, "usr", name), name)
				put(t, filepath.Join(source, "etc", name), strings.Repeat(name, 5000))
			}
			must(t, os.Mkdir(empty, 0o755))
			disk.sync(t)
			if err := linkTree(t.Context(), source, empty, new(atomic.Int64)); err != nil {
				t.Fatalf("linkTree: %v", err)
			}
			want := describe(t, source)
			if diff := cmp.Diff(want, describe(t, filepath.Join(disk.crash(t).directory, "empty"))); diff == "" {
				t.Error("the files are there without makeDurable, so this test proves nothing")
			}
			for round := range 4 { // the copied content may be on the disk by chance
				target := filepath.Join(disk.directory, fmt.Sprint(round))
				must(t, os.Mkdir(target, 0o755))
				if err := linkTree(t.Context(), source, target, new(atomic.Int64)); err != nil {
					t.Fatalf("linkTree: %v", err)
				}
				must(t, makeDurable(target))
				if diff := cmp.Diff(want, describe(t, filepath.Join(disk.crash(t).directory, fmt.Sprint(round)))); diff != "" {
					t.Fatalf("round %d: files after a power failure (-want +got):\n%s", round, diff)
				}
			}
		})
	}
}

// TestLinkTree_ChangesTopDirectoryLast tests what makeDurable depends on. On xfs, fsync does nothing for a directory whose
// changes the journal has already committed.
func TestLinkTree_ChangesTopDirectoryLast(t *testing.T) {
	t.Parallel()
	source := t.TempDir()
	for i := range 2000 {
		put(t, filepath.Join(source, fmt.Sprintf("usr/%d/%d", i%20, i)), "")
	}
	target, _ := linked(t, source)
	top := stat(t, target).Ctim
	must(t, filepath.WalkDir(target, func(path string, _ fs.DirEntry, err error) error {
		if changed := stat(t, path).Ctim; changed.Nano() > top.Nano() {
			t.Errorf("%s was changed %d ns after the top directory", path, changed.Nano()-top.Nano())
		}
		return err
	}))
}
