package pagecachetest

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// Write writes a file to disk. It skips the test if the file is in a tmpfs; see NeedDisk.
func Write(t *testing.T, path string, content []byte) {
	t.Helper()
	file, err := os.Create(path) // #nosec G304 -- a test chooses the path
	if err != nil {
		t.Fatal(err)
	}
	_, err = file.Write(content)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		t.Fatal(err)
	}
	NeedDisk(t, path)
}

// NeedDisk skips the test if the file is in a tmpfs, whose pages cannot be dropped.
func NeedDisk(t *testing.T, path string) {
	t.Helper()
	var system unix.Statfs_t
	if err := unix.Statfs(path, &system); err != nil {
		t.Fatal(err)
	}
	if system.Type == unix.TMPFS_MAGIC {
		t.Skipf("%s is in a tmpfs: set TMPDIR to a directory on a disk", path)
	}
}

// Cached returns how many bytes of a file are in the page cache. It skips the test if the kernel is older than Linux 6.5.
func Cached(t *testing.T, path string) int64 {
	t.Helper()
	file, err := os.Open(path) // #nosec G304 -- a test chooses the path
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	var cached unix.Cachestat_t
	err = unix.Cachestat(uint(file.Fd()), &unix.CachestatRange{}, &cached, 0)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skipf("cachestat(2): %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return int64(cached.Cache) * int64(os.Getpagesize()) // #nosec G115 -- less than the machine's memory
}
