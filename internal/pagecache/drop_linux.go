package pagecache

import (
	"os"

	"golang.org/x/sys/unix"
)

// Drop drops the first n bytes of a file from the page cache. It is a hint, which cannot fail: pages that are not yet on disk,
// or are in use, remain (POSIX_FADV_DONTNEED of posix_fadvise(2)).
func Drop(file *os.File, n int64) {
	if n == 0 {
		return // for posix_fadvise, 0 means the whole file
	}
	_ = unix.Fadvise(int(file.Fd()), 0, n, unix.FADV_DONTNEED) // #nosec G115 -- a file descriptor is an int
}
