package endpoint

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

const (
	// bodyTimeout is how long a request's body may take to arrive. The API server sends it immediately.
	bodyTimeout = time.Second
	// queueTimeout is how long a request waits to be read. It equals the timeout that the chart sets for the API server's call.
	queueTimeout = 5 * time.Second
	// slotSize is how many bytes of a body one slot covers. A larger body needs several slots.
	slotSize = 512 << 10
	// minBody is how many bytes are reserved for a body even if the body is smaller. It limits how many small requests wait for
	// slots, so that the garbage collector has enough memory.
	minBody = 256 << 10
)

// lane limits one kind of request. It reserves memory for bodies before they are read, and limits how many requests are answered
// concurrently. A request takes slots only after its body has arrived completely.
type lane struct {
	answer  func(ctx context.Context, document []byte) ([]byte, error)
	maxBody int64 // bytes
	bodies  *semaphore.Weighted
	size    int64 // in slots
	slots   *semaphore.Weighted
	waiting *semaphore.Weighted // in slots; for requests that wait for a push and have released their slots
}

// newLane returns a lane with the given number of slots, for bodies of at most maxBody bytes.
func newLane(slots, maxBody int64, answer func(context.Context, []byte) ([]byte, error)) *lane {
	return &lane{
		answer:  answer,
		maxBody: maxBody,
		bodies:  semaphore.NewWeighted(max(maxBody, slots*slotSize)),
		size:    slots,
		slots:   semaphore.NewWeighted(slots),
		waiting: semaphore.NewWeighted(slots),
	}
}

// errTooLarge is returned for a request whose body is larger than the lane accepts.
type errTooLarge struct{ max int64 }

func (e errTooLarge) Error() string { return fmt.Sprintf("the body has more than %d bytes", e.max) }

// enter reads the request's body and takes its slots. The returned place keeps the reserved memory and the slots until leave is
// called.
func (l *lane) enter(w http.ResponseWriter, r *http.Request) (*place, []byte, error) {
	size := r.ContentLength
	if size > l.maxBody {
		return nil, nil, errTooLarge{l.maxBody}
	}
	if size < 0 {
		size = l.maxBody // unknown
	}
	size = max(size, minBody)
	ctx, cancel := context.WithTimeout(r.Context(), queueTimeout)
	defer cancel()
	if err := l.bodies.Acquire(ctx, size); err != nil {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now()) // so that the server does not read the body later either
		return nil, nil, fmt.Errorf("waiting to read the request: %w", err)
	}
	slots := min(1+size/slotSize, l.size)
	body, err := l.read(w, r)
	if err == nil {
		err = l.slots.Acquire(ctx, slots)
	}
	if err != nil {
		l.bodies.Release(size)
		_ = http.NewResponseController(w).SetReadDeadline(time.Now()) // so that the server does not wait for the rest of the body
		return nil, nil, err
	}
	return &place{lane: l, body: size, slots: slots, held: l.slots}, body, nil
}

// read reads the body.
func (l *lane) read(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	var body bytes.Buffer
	if r.ContentLength > 0 {
		body.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	// The errors are ignored, because all connections support deadlines, except those in some tests. The deadline is removed after
	// the body is read, because the server keeps reading from the connection to notice when the client closes it.
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(bodyTimeout))
	if _, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, l.maxBody)); err != nil {
		return nil, fmt.Errorf("reading the request: %w", err)
	}
	_ = control.SetReadDeadline(time.Time{})
	return body.Bytes(), nil
}

// place contains the memory and the slots that a request has taken from its lane.
type place struct {
	lane *lane

	mu    sync.Mutex
	body  int64 // bytes
	slots int64
	held  *semaphore.Weighted // the semaphore that the slots were taken from
	full  bool                // no room to wait for a push
}

// leave releases the slots and the reserved memory.
func (p *place) leave() {
	p.held.Release(p.slots)
	p.lane.bodies.Release(p.body)
}

// wait releases the request's slots and reserved memory, because the request is about to wait for a push. It returns false, and
// releases nothing, if too many requests are already waiting. After the push, the request does not take slots again, because
// little work remains.
func (p *place) wait() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.full || p.held == p.lane.waiting {
		return !p.full
	}
	if p.full = !p.lane.waiting.TryAcquire(p.slots); p.full {
		return false
	}
	p.leave()
	p.held, p.body = p.lane.waiting, 0
	return true
}
