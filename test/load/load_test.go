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
	// small is the size of a pod in bytes, not counting its image. Most manifests are no larger.
	small = 1_000
	// attempts is the maximum number of runs. One run within the limits is enough, because a busy machine can only make results
	// worse.
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

// The webhook is compared with a plain server that only looks up the image. The webhook's p99 latency may be at most 5 ms or, on
// a slow machine, twice the plain server's p99 latency. Its median latency may be at most 2 ms above the plain server's. These
// 2 ms are about what the limit of 5 ms allows on a quiet machine.
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

// duration returns how long a test sends requests.
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
