package webhook

import (
	"bytes"
	"fmt"
	"net/http"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

// parallelRequests is how many requests are answered at a time. The others wait unread, so that no burst of them can take
// more memory than the process has.
const parallelRequests = 16

// Server answers the API server over HTTP. What cannot be answered ends in an HTTP error and not in a denial, so that the
// webhook's failurePolicy lets the request through.
type Server struct {
	handler  *Handler
	slots    *semaphore.Weighted
	draining atomic.Bool
}

// NewServer returns a server of the handler.
func NewServer(handler *Handler) *Server {
	return &Server{handler: handler, slots: semaphore.NewWeighted(parallelRequests)}
}

// Drain has clients close each connection after the next answer on it. An API server keeps connections, and a request that it
// sends on one which is being closed is lost; so let it first close those that it uses.
func (s *Server) Drain() { s.draining.Store(true) }

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.draining.Load() {
		w.Header().Set("Connection", "close")
	}
	if err := s.slots.Acquire(r.Context(), 1); err != nil {
		return // the API server has hung up, and let the pod through
	}
	defer s.slots.Release(1)
	var document bytes.Buffer
	document.Grow(int(min(max(r.ContentLength, 0), MaxReview)))
	if _, err := document.ReadFrom(http.MaxBytesReader(w, r.Body, MaxReview)); err != nil {
		s.refuse(w, http.StatusRequestEntityTooLarge, fmt.Errorf("reading the request: %w", err))
		return
	}
	answer, err := s.handler.Answer(r.Context(), document.Bytes())
	if err != nil {
		s.refuse(w, http.StatusBadRequest, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(answer)
}

// refuse answers with an error.
func (s *Server) refuse(w http.ResponseWriter, status int, err error) {
	s.handler.Log.Error(err, "request not answered")
	http.Error(w, err.Error(), status)
}
