package main

import (
	"fmt"
	"sync"
	"time"

	"kind-local-registry/internal/push"
)

// pushState is how far the push of one image is. It may be used by several goroutines at once.
type pushState struct {
	mu                sync.Mutex
	now               push.Progress
	end               string    // how it ended, in a word; "" before that
	begun, moving, at time.Time // when it was asked for, when it was its turn, and when now was reported
}

// update takes the progress that was reported at that time, and returns how long the push has taken by then.
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

// finish says that the push is over, and whether the image is in the registry now.
func (s *pushState) finish(pushed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end = "failed"
	if pushed {
		s.end = "done"
	}
}

// text says how far the push is.
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
		text += fmt.Sprintf(", %s already there", humanSize(s.now.Present))
	}
	return text
}
