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

func TestForget(t *testing.T) {
	t.Parallel()
	const size = 4 << 20
	for name, test := range map[string]struct{ forget, want int64 }{
		"nothing":  {0, size},
		"a half":   {size / 2, size / 2},
		"the file": {size, 0},
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
			if got := pagecachetest.Kept(t, path); got != size {
				t.Fatalf("%d bytes are kept of a file that was just read, want %d", got, size)
			}
			pagecache.Forget(file, test.forget)
			if got := pagecachetest.Kept(t, path); got != test.want {
				t.Errorf("%d bytes are kept, want %d", got, test.want)
			}
			if err := errors.Join(file.Close(), os.Remove(path)); err != nil {
				t.Error(err)
			}
		})
	}
}
