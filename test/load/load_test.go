//go:build load

package load

import (
	"os"
	"testing"
	"time"
)

const (
	// perSecond is the number of pods created per second.
	perSecond = 200
	// small is the size in bytes of a pod without its image. Most manifests are no bigger.
	small = 1_000
	// attempts is the number of runs, of which one must be within the limits: a busy machine only makes results worse.
	attempts = 3
	// grace is the time within which the webhook must detect a hung pusher.
	grace = 5 * time.Second
)

func TestMain(m *testing.M) {
	if os.Getenv(serverVariable) != "" {
		os.Exit(serverMain())
	}
	os.Exit(m.Run())
}

// The p99 latency is at most 5 ms, or on a slow machine at most twice the p99 latency of a plain server that only looks up the
// image. On every machine the median is at most 2 ms above that of the plain server, which is what 5 ms leave on a quiet one.
func TestLoad_LatencyStaysLow(t *testing.T) { //nolint:paralleltest // measures
	backend := startPusher(t, answer)
	s, plain := startWebhook(t, backend), startPlainServer(t, backend)
	const maxAdded = 2 * time.Millisecond
	var got figures
	var limit, added time.Duration
	for range attempts {
		baseline := measure(plain.sendSteadily(t, perSecond, duration(t), small))
		t.Logf("%d pods per second, plain server: %s", perSecond, baseline)
		baseline.wantAllAllowed(t)
		got = measure(s.sendSteadily(t, perSecond, duration(t), small))
		t.Logf("%d pods per second: %s; peak memory %s", perSecond, got, s.peak(t))
		got.wantAllRewritten(t)
		limit, added = max(5*time.Millisecond, 2*baseline.p99), got.p50-baseline.p50
		if got.p99 <= limit && added <= maxAdded {
			break
		}
	}
	wantAtMost(t, "p99 latency", got.p99, limit)
	wantAtMost(t, "median latency above the plain server's", added, maxAdded)
}

func TestLoad_LatencyStaysLowWithAHungPusher(t *testing.T) { //nolint:paralleltest // measures
	s := startWebhook(t, startPusher(t, hang))
	samples := s.sendSteadily(t, perSecond, grace+duration(t), small)
	warmUp := int(grace.Seconds() * perSecond)
	first, got := measure(samples[:warmUp]), measure(samples[warmUp:])
	t.Logf("%d pods per second, first %s: %s", perSecond, grace, first)
	t.Logf("%d pods per second, after that: %s; peak memory %s", perSecond, got, s.peak(t))
	first.wantAllAllowed(t)
	got.wantAllAllowed(t)
	wantAtMost(t, "p99 latency", got.p99, 100*time.Millisecond)
}

func TestLoad_MemoryStaysLow(t *testing.T) { //nolint:paralleltest // measures
	const callers, big, limit = 200, 60_000, size(64 << 20)
	s := startWebhook(t, startPusher(t, answer))
	got := measure(s.sendConcurrently(t, callers, duration(t), big))
	peak := s.peak(t)
	t.Logf("%d callers with pods of %d bytes: %s; peak memory %s", callers, big, got, peak)
	got.wantAllAllowed(t)
	wantAtMost(t, "peak memory", peak, limit)
}

// duration returns how long a test sends.
func duration(t *testing.T) time.Duration {
	t.Helper()
	set := os.Getenv("LOAD_DURATION")
	if set == "" {
		return 10 * time.Second
	}
	d, err := time.ParseDuration(set)
	if err != nil || d <= 0 {
		t.Fatalf("LOAD_DURATION = %q, want a positive duration", set)
	}
	return d
}
