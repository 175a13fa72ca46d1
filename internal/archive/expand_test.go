package archive

import (
	"errors"
	"io"
	"testing"
)

// zeros is an endless reader of zeros.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestBounded_EndsDecompressionBomb(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		compressed, before int64
		want               error
	}{
		"little data":               {1, 0, nil},
		"much data from little":     {1 << 20, freeBytes, errExpands},
		"much data from much data":  {1 << 30, freeBytes, nil},
		"more than the ratio times": {1 << 30, maxRatio << 30, errExpands},
	} {
		b := &bounded{reader: io.LimitReader(zeros{}, 1<<20), source: &counter{bytes: test.compressed}, bytes: test.before + maxRatio}
		if _, err := io.Copy(io.Discard, b); !errors.Is(err, test.want) {
			t.Errorf("%s: Read = %v, want %v", name, err, test.want)
		}
	}
}
