//go:build load

package load

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// sample is the outcome of one request.
type sample struct {
	// latency is the time from when the request was due until its answer ended.
	latency time.Duration
	// err is not nil if the API server would reject the answer.
	err error
	// allowed means that the pod may be created. rewritten means that the answer contains a patch.
	allowed, rewritten bool
}

// figures are the results of a run.
type figures struct {
	requests, errors, denied, rewritten int
	p50, p99, max                       time.Duration
	firstError                          error
}

// measure returns the figures for the samples. There must be at least one sample.
func measure(samples []sample) figures {
	f := figures{requests: len(samples)}
	var latencies []time.Duration
	for _, s := range samples {
		latencies = append(latencies, s.latency)
		switch {
		case s.err != nil && f.firstError == nil:
			f.firstError = s.err
			f.errors++
		case s.err != nil:
			f.errors++
		case !s.allowed:
			f.denied++
		case s.rewritten:
			f.rewritten++
		}
	}
	slices.Sort(latencies)
	f.p50, f.p99, f.max = latencies[len(latencies)/2], latencies[len(latencies)*99/100], latencies[len(latencies)-1]
	return f
}

// String returns the figures on one line.
func (f figures) String() string {
	return fmt.Sprintf("%d requests, %d errors, %d denied, %d rewritten, p50 %s, p99 %s, max %s",
		f.requests, f.errors, f.denied, f.rewritten, rounded(f.p50), rounded(f.p99), rounded(f.max))
}

// rounded rounds the duration to 10 µs.
func rounded(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }

// wantAllAllowed fails the test unless every request was answered and every pod was allowed.
func (f figures) wantAllAllowed(t *testing.T) {
	t.Helper()
	if f.errors > 0 || f.denied > 0 {
		t.Errorf("%d errors, first %v, %d pods denied, want none", f.errors, f.firstError, f.denied)
	}
}

// wantAllRewritten fails the test unless every answer contains a patch. Otherwise, answers without a lookup, which are fast but
// useless, would improve the figures.
func (f figures) wantAllRewritten(t *testing.T) {
	t.Helper()
	f.wantAllAllowed(t)
	if f.rewritten != f.requests {
		t.Errorf("%d of %d pods rewritten, want all", f.rewritten, f.requests)
	}
}

// size is a number of bytes.
type size int64

// String returns the size in MiB.
func (s size) String() string { return fmt.Sprintf("%.1f MiB", float64(s)/(1<<20)) }

// wantAtMost fails the test if got is more than most.
func wantAtMost[T interface {
	~int64
	fmt.Stringer
}](t *testing.T, what string, got, most T) {
	t.Helper()
	if got > most {
		t.Errorf("%s: %s, want at most %s", what, got, most)
	}
}
