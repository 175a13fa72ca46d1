package pagecache

import (
	"os"

	"golang.org/x/sys/unix"
)

// Forget has the kernel forget what it keeps of the first n bytes of a file. What is not on the disk yet, or is in use,
// stays: it is a hint, which cannot fail (POSIX_FADV_DONTNEED of posix_fadvise(2)).
func Forget(file *os.File, n int64) {
	if n == 0 {
		return // of posix_fadvise 0 is the whole file
	}
	_ = unix.Fadvise(int(file.Fd()), 0, n, unix.FADV_DONTNEED) // #nosec G115 -- a file descriptor is an int
}
