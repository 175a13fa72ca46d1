//go:build e2e

package e2e

import (
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"
)

// The pusher pushes an 858 MB image with three layers, and must never keep a whole layer in memory.
func TestPusher_DeliversALargeImageInLittleMemory(t *testing.T) {
	const limit = 64 << 20
	image := buildImage(t, "e2e/large:local", "hello", 286, 286, 286)

	start := time.Now()
	createPod(t, "large", namespace, podSpec(image))
	awaitRunning(t, "large", 5*time.Minute)
	took := time.Since(start)

	peak := peakMemory(t, "kind-registry-pusher")
	t.Logf("858 MB: from creation to Running %.1f s; VmHWM of the pusher %.1f MiB, of the registry %.1f MiB",
		took.Seconds(), mebibytes(peak), mebibytes(peakMemory(t, "kind-registry")))
	if peak > limit {
		t.Errorf("VmHWM of the pusher = %.1f MiB, want at most %.1f MiB", mebibytes(peak), mebibytes(limit))
	}
}

// peakMemory returns the peak resident set size of a container's first process in bytes (VmHWM in proc_pid_status(5)).
func peakMemory(t *testing.T, container string) int {
	t.Helper()
	pid := docker(t, "inspect", "--format", "{{.State.Pid}}", container)
	status, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		t.Fatal(err)
	}
	match := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	if match == nil {
		t.Fatalf("/proc/%s/status has no VmHWM", pid)
	}
	kilobytes, err := strconv.Atoi(string(match[1]))
	if err != nil {
		t.Fatal(err)
	}
	return kilobytes << 10
}

func mebibytes(bytes int) float64 { return float64(bytes) / (1 << 20) }
