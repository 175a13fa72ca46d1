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
	// bodyTime is how long the body of a request may take to arrive. The API server sends it at once.
	bodyTime = time.Second
	// waitTime is how long a request waits to be read: as long as the chart has the API server wait for its answer.
	waitTime = 5 * time.Second
	// slotSize is how many bytes of a body there are to a slot; a bigger one takes several.
	slotSize = 512 << 10
	// leastBody is how many bytes a body counts at least: if many small ones waited for their slots, the garbage collector would
	// have no room.
	leastBody = 256 << 10
)

// lane is what requests of one kind may take. It bounds the memory of their bodies, from before they are read, and how many
// are answered at a time, each of which takes a slot only when its body is there.
type lane struct {
	answer  func(ctx context.Context, document []byte) ([]byte, error)
	most    int64 // bytes of one body
	bodies  *semaphore.Weighted
	size    int64 // in slots
	slots   *semaphore.Weighted
	waiting *semaphore.Weighted // in slots, of requests that wait for a push in place of their slots
}

// newLane returns a lane with that many slots, for bodies of at most that many bytes.
func newLane(slots, most int64, answer func(context.Context, []byte) ([]byte, error)) *lane {
	return &lane{
		answer:  answer,
		most:    most,
		bodies:  semaphore.NewWeighted(max(most, slots*slotSize)),
		size:    slots,
		slots:   semaphore.NewWeighted(slots),
		waiting: semaphore.NewWeighted(slots),
	}
}

// errTooLarge is the error of a request with a body that is larger than the lane takes.
type errTooLarge struct{ most int64 }

func (e errTooLarge) Error() string { return fmt.Sprintf("the body has more than %d bytes", e.most) }

// enter reads the request's body and takes its slots. Both are the place's until it leaves.
func (l *lane) enter(w http.ResponseWriter, r *http.Request) (*place, []byte, error) {
	size := r.ContentLength
	if size > l.most {
		return nil, nil, errTooLarge{l.most}
	}
	if size < 0 {
		size = l.most // unknown
	}
	size = max(size, leastBody)
	ctx, cancel := context.WithTimeout(r.Context(), waitTime)
	defer cancel()
	if err := l.bodies.Acquire(ctx, size); err != nil {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now()) // nor is the body read afterwards
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
	// A connection without deadlines is that of a test. Afterwards there is none: the server goes on reading the connection, to
	// see whether the client is still there.
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(bodyTime))
	if _, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, l.most)); err != nil {
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
	held  *semaphore.Weighted // whose slots these are
	full  bool                // there was no room to wait for a push
}

// leave gives everything back.
func (p *place) leave() {
	p.held.Release(p.slots)
	p.lane.bodies.Release(p.body)
}

// wait gives what the request has to others, as it is about to wait for a push, and reports whether there is room to wait.
// The little that is left to do after that needs no slots.
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
