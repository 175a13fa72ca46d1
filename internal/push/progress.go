package push

import (
	"io"
	"sync"
	"time"
)

// Progress is how far a push is.
type Progress struct {
	// Bytes have been moved.
	Bytes int64 `json:"bytes"`
	// Total is how many bytes are to be moved. It is an estimate until the end, and never less than Bytes.
	Total int64 `json:"total"`
	// Present bytes are in the registry already, and are no part of Total.
	Present int64 `json:"present"`
}

// reportEvery is the shortest time between two reports of progress.
const reportEvery = 250 * time.Millisecond

// meter counts the bytes of all readers that it gives out.
type meter struct {
	mu     sync.Mutex
	now    Progress
	last   time.Time
	report func(Progress)
}

// newMeter returns a meter for about total bytes, and reports that nothing has been moved yet.
func newMeter(total int64, report func(Progress)) *meter {
	if report == nil {
		report = func(Progress) {}
	}
	m := &meter{now: Progress{Total: max(total, 0)}, last: time.Now(), report: report}
	m.report(m.now)
	return m
}

// expectLess says that so many of the bytes are present, and need not be moved.
func (m *meter) expectLess(size int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now.Total, m.now.Present = max(m.now.Total-size, m.now.Bytes), m.now.Present+size
}

// finish reports the end; what was an estimate is known now.
func (m *meter) finish() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now.Total = m.now.Bytes
	m.report(m.now)
}

// reader returns r, metered.
func (m *meter) reader(r io.Reader) io.Reader { return metered{r, m} }

type metered struct {
	io.Reader
	meter *meter
}

// Read reads, counts, and reports when it is time to.
func (r metered) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.meter.mu.Lock()
	defer r.meter.mu.Unlock()
	r.meter.now.Bytes += int64(n)
	r.meter.now.Total = max(r.meter.now.Total, r.meter.now.Bytes)
	if now := time.Now(); now.Sub(r.meter.last) >= reportEvery {
		r.meter.last = now
		r.meter.report(r.meter.now)
	}
	return n, err
}
