//go:build !linux

package pagecache

import "os"

// Drop does nothing, because other systems have neither this hint nor Docker's files.
func Drop(*os.File, int64) {}
