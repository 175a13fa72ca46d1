package push_test

import (
	"runtime"
	"testing"

	"kind-local-registry/internal/docker/dockertest"
	"kind-local-registry/internal/push"
)

// TestPush_NeedsNoMemoryForTheImage is not parallel, because it measures the heap of the process. The daemon, the pusher and
// the registry all run in this process.
func TestPush_NeedsNoMemoryForTheImage(t *testing.T) {
	const size, limit = 512 << 20, 32 << 20
	if testing.Short() {
		t.Skip("pushes 512 MiB")
	}
	e := newEnv(t)
	image := dockertest.NewImage("a", dockertest.Noise(size, 1))
	var peak uint64
	look := func(push.Progress) {
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		peak = max(peak, stats.HeapInuse)
	}
	if _, err := e.registry.Push(t.Context(), target(), wanted(image, e.sources(t, image)...), push.Options{Progress: look}); err != nil {
		t.Fatalf("Push: %v", err)
	}
	if peak > limit {
		t.Errorf("pushing %d MiB took %d MiB of heap, want at most %d", size>>20, peak>>20, limit>>20)
	}
	t.Logf("peak heap %.1f MiB", float64(peak)/(1<<20))
}
