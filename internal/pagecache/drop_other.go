//go:build !linux

package pagecache

import "os"

// Drop does nothing: only Linux has Docker's files and this hint.
func Drop(*os.File, int64) {}
