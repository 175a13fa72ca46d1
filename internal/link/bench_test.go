package link

import (
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
)

// BenchmarkLinkTree compares linking small files with copying them, which linkTree does below /etc. ADR 25 quotes the figures.
func BenchmarkLinkTree(b *testing.B) {
	for _, size := range []int{100, 4096, 16384} {
		for _, kind := range []struct{ name, directory string }{{"linked", "usr"}, {"copied", "etc"}} {
			b.Run(fmt.Sprintf("%d bytes/%s", size, kind.name), func(b *testing.B) {
				source := b.TempDir()
				for i := range 2000 {
					path := filepath.Join(source, kind.directory, fmt.Sprint(i%100), fmt.Sprint(i))
					if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
						b.Fatal(err)
					}
					if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
						b.Fatal(err)
					}
				}
				for b.Loop() {
					target := b.TempDir()
					var files atomic.Int64
					if err := linkTree(b.Context(), source, target, &files); err != nil {
						b.Fatal(err)
					}
					if err := makeDurable(target); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/2000, "µs/file")
			})
		}
	}
}
