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
	// bodyTimeout is how long the body of a request may take to arrive. The API server sends it immediately.
	bodyTimeout = time.Second
	// queueTimeout is how long a request waits to be read: as long as the API server waits for the response by the chart's
	// default.
	queueTimeout = 5 * time.Second
	// slotSize is how many bytes of a body one slot covers; a larger body takes several slots.
	slotSize = 512 << 10
	// minBody is how many bytes a body counts at least: if many small bodies waited for slots, the garbage collector would have
	// no room.
	minBody = 256 << 10
)

// lane limits the requests of one kind: the memory of their bodies, before they are read, and how many are answered
// concurrently. A request takes its slots only when its body is complete.
type lane struct {
	answer  func(ctx context.Context, document []byte) ([]byte, error)
	maxBody int64 // bytes
	bodies  *semaphore.Weighted
	size    int64 // in slots
	slots   *semaphore.Weighted
	waiting *semaphore.Weighted // in slots, of requests that wait for a push in place of their slots
}

// newLane returns a lane with that many slots, for bodies of at most maxBody bytes.
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

// errTooLarge is the error of a request whose body is larger than the lane accepts.
type errTooLarge struct{ max int64 }

func (e errTooLarge) Error() string { return fmt.Sprintf("the body has more than %d bytes", e.max) }

// enter reads the request's body and takes its slots. The place has both until it leaves.
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
		_ = http.NewResponseController(w).SetReadDeadline(time.Now()) // do not read the body afterwards either
		return nil, nil, fmt.Errorf("waiting to read the request: %w", err)
	}
	slots := min(1+size/slotSize, l.size)
	body, err := l.read(w, r)
	if err == nil {
		err = l.slots.Acquire(ctx, slots)
	}
	if err != nil {
		l.bodies.Release(size)
		_ = http.NewResponseController(w).SetReadDeadline(time.Now()) // do not wait for the rest of the body
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
	// Only a test's connection has no deadlines. Afterwards there is none: the server goes on reading the connection to notice
	// a client that leaves.
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(bodyTimeout))
	if _, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, l.maxBody)); err != nil {
		return nil, fmt.Errorf("reading the request: %w", err)
	}
	_ = control.SetReadDeadline(time.Time{})
	return body.Bytes(), nil
}

// place is what a request has taken of its lane.
type place struct {
	lane *lane

	mu    sync.Mutex
	body  int64 // bytes
	slots int64
	held  *semaphore.Weighted // that the slots are of
	full  bool                // no room to wait for a push
}

// leave returns everything.
func (p *place) leave() {
	p.held.Release(p.slots)
	p.lane.bodies.Release(p.body)
}

// wait returns the request's body and slots, as it is about to wait for a push. It returns false if there is no room to wait.
// The little work after that needs no slots.
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
