//go:build !linux

package pagecache

import "os"

// Drop does nothing, because only Linux has this hint and Docker's files.
func Drop(*os.File, int64) {}
