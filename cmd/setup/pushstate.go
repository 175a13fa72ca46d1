package main

import (
	"fmt"
	"sync"
	"time"

	"kind-local-registry/internal/push"
)

// pushState is the progress of one push. It is safe for concurrent use.
type pushState struct {
	mu                sync.Mutex
	now               push.Progress
	end               string    // "done" or "failed"; "" before the end
	begun, moving, at time.Time // when it was requested, when it began to copy, and when now was reported
}

// update takes the progress that was reported at that time, and returns the duration of the push until then.
func (s *pushState) update(now push.Progress, at time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.begun.IsZero() {
		s.begun = at
	}
	if s.moving.IsZero() && now.Total > 0 {
		s.moving = at
	}
	s.now, s.at = now, at
	return at.Sub(s.begun)
}

// finish ends the push; pushed reports whether it succeeded.
func (s *pushState) finish(pushed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end = "failed"
	if pushed {
		s.end = "done"
	}
}

// text returns the progress in words.
func (s *pushState) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end != "" {
		return s.end
	}
	if s.now == (push.Progress{}) {
		return "waiting"
	}
	text := fmt.Sprintf("%s of %s", humanSize(s.now.Bytes), humanSize(s.now.Total))
	if took := s.at.Sub(s.moving).Seconds(); took > 0 && s.now.Bytes > 0 {
		text += fmt.Sprintf(", %s/s", humanSize(int64(float64(s.now.Bytes)/took)))
	}
	if s.now.Present > 0 {
		text += fmt.Sprintf(", %s already present", humanSize(s.now.Present))
	}
	return text
}
