package pusher

import "time"

// ShortenPauses lets the pushes of promised images start and retry soon.
func (s *Service) ShortenPauses() {
	s.pauses = pauses{first: time.Millisecond, retryMin: time.Millisecond, retryMax: 10 * time.Millisecond}
}

// AwaitPromises waits until every promised image has been pushed, or its promise withdrawn.
func (s *Service) AwaitPromises() { s.background.Wait() }
