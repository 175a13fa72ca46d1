//go:build load

package load

import (
	"os"
	"testing"
	"time"
)

const (
	// perSecond is how many pods are created a second.
	perSecond = 200
	// small is the size in bytes of what a pod has beside its image: most manifests are no bigger.
	small = 1_000
	// attempts is how often it is measured until a figure is good: a busy machine makes all figures worse, and none better.
	attempts = 3
	// grace is how long a pusher may hang before the webhook has to have noticed.
	grace = 5 * time.Second
)

func TestMain(m *testing.M) {
	if os.Getenv(serverVariable) != "" {
		os.Exit(serverMain())
	}
	os.Exit(m.Run())
}

// 99 of 100 answers take 5 ms at most. A machine may need longer for any answer; then 99 of 100 take no more than twice what
// they take of a server that does nothing but ask the pusher. On every machine half of the answers take at most 2 ms more
// than that server's, which is what 5 ms leave on a quiet one.
func TestLoad_AnswersFast(t *testing.T) { //nolint:paralleltest // measures
	behind := startPusher(t, answering)
	s, plain := startServer(t, behind), startPlainServer(t, behind)
	const mostMore = 2 * time.Millisecond
	var got figures
	var most, more time.Duration
	for range attempts {
		least := measure(plain.sendSteadily(t, perSecond, duration(t), small))
		t.Logf("%d pods a second, nothing decided: %s", perSecond, least)
		least.wantAllAllowed(t)
		got = measure(s.sendSteadily(t, perSecond, duration(t), small))
		t.Logf("%d pods a second: %s; memory at most %s", perSecond, got, s.peak(t))
		got.wantAllRewritten(t)
		most, more = max(5*time.Millisecond, 2*least.p99), got.p50-least.p50
		if got.p99 <= most && more <= mostMore {
			break
		}
	}
	wantAtMost(t, "99 of 100 answers", got.p99, most)
	wantAtMost(t, "half of the answers, more than nothing decided", more, mostMore)
}

func TestLoad_HungPusher(t *testing.T) { //nolint:paralleltest // measures
	s := startServer(t, startPusher(t, hanging))
	samples := s.sendSteadily(t, perSecond, grace+duration(t), small)
	begun := int(grace.Seconds() * perSecond)
	first, got := measure(samples[:begun]), measure(samples[begun:])
	t.Logf("%d pods a second, the first %s: %s", perSecond, grace, first)
	t.Logf("%d pods a second, after that: %s; memory at most %s", perSecond, got, s.peak(t))
	first.wantAllAllowed(t)
	got.wantAllAllowed(t)
	wantAtMost(t, "99 of 100 answers", got.p99, 100*time.Millisecond)
}

func TestLoad_Memory(t *testing.T) { //nolint:paralleltest // measures
	const callers, big, most = 200, 60_000, size(64 << 20)
	s := startServer(t, startPusher(t, answering))
	got := measure(s.sendAtOnce(t, callers, duration(t), big))
	peak := s.peak(t)
	t.Logf("%d callers with pods of %d bytes: %s; memory at most %s", callers, big, got, peak)
	got.wantAllAllowed(t)
	wantAtMost(t, "memory", peak, most)
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
		t.Fatalf("LOAD_DURATION %q is not a positive duration", set)
	}
	return d
}
