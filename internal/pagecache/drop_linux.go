package pagecache

import (
	"os"

	"golang.org/x/sys/unix"
)

// Drop drops the first n bytes of a file from the page cache. It only gives the kernel a hint, POSIX_FADV_DONTNEED of
// posix_fadvise(2), and cannot fail. Pages that are in use or not yet on disk remain in the cache.
func Drop(file *os.File, n int64) {
	if n == 0 {
		return // to posix_fadvise, 0 means the whole file
	}
	_ = unix.Fadvise(int(file.Fd()), 0, n, unix.FADV_DONTNEED) // #nosec G115 -- a file descriptor is an int
}
