package main

import (
	"fmt"
	"math"
	"sync"
	"time"

	"kind-local-registry/internal/push"
)

// pushState records the progress of one push. It is safe for concurrent use.
type pushState struct {
	mu                sync.Mutex
	now               push.Progress
	end               string    // "done" or "failed"; "" before the end
	begun, moving, at time.Time // when the push was requested, when it began to copy, and when now was reported
}

// update records the progress and the time at which it was reported. It returns how long the push had been running by then.
func (s *pushState) update(now push.Progress, at time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.begun.IsZero() {
		s.begun = at
	}
	if s.moving.IsZero() && (now.Total > 0 || now.Bytes > 0) {
		s.moving = at
	}
	s.now, s.at = now, at
	return at.Sub(s.begun)
}

// finish records that the push has ended, and whether it succeeded.
func (s *pushState) finish(pushed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end = "failed"
	if pushed {
		s.end = "done"
	}
}

// text describes the progress.
func (s *pushState) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end != "" {
		return s.end
	}
	if s.now == (push.Progress{}) {
		return "waiting"
	}
	text := humanSize(s.now.Bytes)
	if s.now.Total > 0 { // otherwise it is unknown
		text += " of " + humanSize(s.now.Total)
	}
	if took := s.at.Sub(s.moving).Seconds(); took > 0 && s.now.Bytes > 0 {
		rate := float64(s.now.Bytes) / took
		text += fmt.Sprintf(", %s/s", humanSize(int64(rate)))
		if s.now.Total > 0 {
			text += fmt.Sprintf(", %.0f s left", math.Ceil(float64(s.now.Total-s.now.Bytes)/rate))
		}
	}
	if s.now.Present > 0 {
		text += fmt.Sprintf(", %s already present", humanSize(s.now.Present))
	}
	return text
}
