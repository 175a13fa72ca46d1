package link

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestTestLink_RemovesBothFiles(t *testing.T) {
	t.Parallel()
	from, to := t.TempDir(), t.TempDir()
	if err := newTester().testLink(from, to); err != nil {
		t.Errorf("testLink: %v", err)
	}
	wantEmpty(t, from, to)
}

func TestTestLink_LinksWithinOneDirectory(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	if err := newTester().testLink(directory, directory); err != nil {
		t.Errorf("testLink: %v", err)
	}
	wantEmpty(t, directory)
}

func TestTestLink_ReturnsErrorOfKernel(t *testing.T) {
	t.Parallel()
	for what, test := range map[string]struct {
		to   func(t *testing.T) string
		want error
	}{
		"another file system": {elsewhere, unix.EXDEV},
		"no directory":        {func(t *testing.T) string { t.Helper(); return filepath.Join(t.TempDir(), "missing") }, fs.ErrNotExist},
		"a refusal": {func(t *testing.T) string {
			t.Helper()
			directory := t.TempDir()
			setImmutable(t, directory)
			return directory
		}, unix.EPERM},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			from := t.TempDir()
			if err := newTester().testLink(from, test.to(t)); !errors.Is(err, test.want) {
				t.Errorf("testLink to %s = %v, want %v", what, err, test.want)
			}
			wantEmpty(t, from)
		})
	}
	if err := newTester().testLink(filepath.Join(t.TempDir(), "missing"), t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("testLink from no directory = %v, want %v", err, fs.ErrNotExist)
	}
}

func TestTestLink_RemovesFilesOfKilledProcess(t *testing.T) {
	t.Parallel()
	from, to := t.TempDir(), t.TempDir()
	ours, killed := newTester(), newTester()
	for _, directory := range []string{from, to} {
		put(t, filepath.Join(directory, killed.prefix+"left"), "")
		put(t, filepath.Join(directory, ours.prefix+"running"), "") // of a concurrent test
		put(t, filepath.Join(directory, "another"), "")
	}
	if err := ours.testLink(from, to); err != nil {
		t.Errorf("testLink: %v", err)
	}
	for _, directory := range []string{from, to} {
		for _, kept := range []string{ours.prefix + "running", "another"} {
			must(t, os.Remove(filepath.Join(directory, kept)))
		}
	}
	wantEmpty(t, from, to)
}
