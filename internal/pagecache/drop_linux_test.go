package pagecache_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"kind-local-registry/internal/pagecache"
	"kind-local-registry/internal/pagecache/pagecachetest"
)

func TestDrop(t *testing.T) {
	t.Parallel()
	const size = 4 << 20
	for name, test := range map[string]struct{ drop, want int64 }{
		"no bytes":       {0, size},
		"half the file":  {size / 2, size / 2},
		"the whole file": {size, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "file")
			pagecachetest.Write(t, path, make([]byte, size))
			file, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, file); err != nil {
				t.Fatal(err)
			}
			if got := pagecachetest.Cached(t, path); got != size {
				t.Fatalf("%d bytes of a file are cached after reading it, want %d", got, size)
			}
			pagecache.Drop(file, test.drop)
			if got := pagecachetest.Cached(t, path); got != test.want {
				t.Errorf("%d bytes are cached, want %d", got, test.want)
			}
			if err := errors.Join(file.Close(), os.Remove(path)); err != nil {
				t.Error(err)
			}
		})
	}
}
