package push

import (
	"io"
	"sync"
	"time"
)

// Progress reports how much of an image has been pushed.
type Progress struct {
	// Bytes is the number of bytes uploaded so far.
	Bytes int64 `json:"bytes"`
	// Total is the number of bytes to upload. It is an estimate until the push ends, and never less than Bytes.
	Total int64 `json:"total"`
	// Present is the number of bytes that the registry already had. Total does not include them.
	Present int64 `json:"present"`
}

// reportInterval is the minimum time between two reports of progress.
const reportInterval = 250 * time.Millisecond

// meter counts the bytes that pass through its readers, and reports them.
type meter struct {
	mu     sync.Mutex
	now    Progress
	last   time.Time
	report func(Progress)
}

// newMeter reports zero progress, and returns a meter that expects about total bytes.
func newMeter(total int64, report func(Progress)) *meter {
	if report == nil {
		report = func(Progress) {}
	}
	m := &meter{now: Progress{Total: max(total, 0)}, last: time.Now(), report: report}
	m.report(m.now)
	return m
}

// markPresent moves size bytes from Total to Present.
func (m *meter) markPresent(size int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now.Total, m.now.Present = max(m.now.Total-size, m.now.Bytes), m.now.Present+size
}

// finish reports the final progress with the exact Total.
func (m *meter) finish() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now.Total = m.now.Bytes
	m.report(m.now)
}

// reader wraps r in a reader that counts the bytes read.
func (m *meter) reader(r io.Reader) io.Reader { return metered{r, m} }

type metered struct {
	io.Reader
	meter *meter
}

// Read reads from the wrapped reader and counts the bytes. It reports progress at most once per reportInterval.
func (r metered) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.meter.mu.Lock()
	defer r.meter.mu.Unlock()
	r.meter.now.Bytes += int64(n)
	r.meter.now.Total = max(r.meter.now.Total, r.meter.now.Bytes)
	if now := time.Now(); now.Sub(r.meter.last) >= reportInterval {
		r.meter.last = now
		r.meter.report(r.meter.now)
	}
	return n, err
}
