package images

import (
	"archive/tar"
	"io"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"kind-local-registry/internal/archive/archivetest"
	"kind-local-registry/internal/push"
)

// noise returns a layer with one file of that many bytes, and the layer's size.
func noise(t *testing.T, size int64) (io.Reader, int64) {
	t.Helper()
	r, w := io.Pipe()
	t.Cleanup(func() { _ = r.Close() })
	go func() {
		out := tar.NewWriter(w)
		err := out.WriteHeader(&tar.Header{Name: "noise", Mode: 0o644, Size: size})
		if err == nil {
			_, err = io.CopyN(out, rand.NewChaCha8([32]byte{}), size)
		}
		if err == nil {
			err = out.Close()
		}
		_ = w.CloseWithError(err)
	}()
	return r, 512 + (size+511)/512*512 + 1024
}

// writeLarge writes an archive whose only layer has one file of that many bytes. The listing comes last.
func writeLarge(t *testing.T, w io.Writer, size int64) error {
	layer, _ := noise(t, size)
	diffID, err := digest.FromReader(layer)
	if err != nil {
		return err
	}
	settings := v1.Image{Platform: archivetest.Image{}.Platform(), RootFS: v1.RootFS{Type: "layers", DiffIDs: []digest.Digest{diffID}}}
	out := tar.NewWriter(w)
	again, all := noise(t, size)
	if err := out.WriteHeader(&tar.Header{Name: "layer.tar", Mode: 0o644, Size: all}); err != nil {
		return err
	}
	if _, err := io.Copy(out, again); err != nil {
		return err
	}
	for _, file := range []archivetest.Entry{
		archivetest.File("config.json", archivetest.JSON(t, settings)),
		archivetest.File("manifest.json", archivetest.JSON(t, tarball.Manifest{
			{Config: "config.json", RepoTags: []string{appName}, Layers: []string{"layer.tar"}},
		})),
	} {
		if err := out.WriteHeader(&file.Header); err != nil {
			return err
		}
		if _, err := out.Write(file.Content); err != nil {
			return err
		}
	}
	return out.Close()
}

// TestArchivePusher_NeedsNoMemoryForTheImage is not parallel, because it measures the heap of the process, in which the registry runs,
// too.
func TestArchivePusher_NeedsNoMemoryForTheImage(t *testing.T) {
	const size, limit = 256 << 20, 32 << 20
	if testing.Short() {
		t.Skip("pushes 256 MiB")
	}
	world := newArchiveWorld(t)
	r, w := io.Pipe()
	go func() { _ = w.CloseWithError(writeLarge(t, w, size)) }()
	var peak uint64
	look := func(push.Progress) {
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		peak = max(peak, stats.HeapInuse)
	}
	pushed, err := world.Push(t.Context(), Archive{Name: "stdin", Content: r}, look)
	if err != nil || len(pushed) != 1 || pushed[0].Err != nil || pushed[0].Result.Bytes < size {
		t.Fatalf("Push = %+v, %v", pushed, err)
	}
	if peak > limit {
		t.Errorf("pushing %d MiB took %d MiB of heap, want at most %d", size>>20, peak>>20, limit>>20)
	}
	t.Logf("peak heap %.1f MiB", float64(peak)/(1<<20))
}
