//go:build !linux

package pagecache

import "os"

// Forget does nothing: only Linux has Docker's files, and this hint.
func Forget(*os.File, int64) {}
