package webhook

import (
	"context"
	"crypto/subtle"
	"errors"
	"net/http"
	"os"
	"sync/atomic"

	"github.com/go-logr/logr"
)

const (
	// parallelRequests is how many requests of the API server are answered at a time. The others wait, so that no burst of
	// them can take more memory than the process has.
	parallelRequests = 16
	// parallelStrangers and maxStranger are the same, and the limit in bytes, for requests of anyone else.
	parallelStrangers = 2
	maxStranger       = 1 << 20
)

// Server answers the API server over HTTP. What cannot be answered ends in an HTTP error and not in a denial, so that the
// webhook's failurePolicy lets the request through.
//
// The webhook's port is open to every pod. The API server is told by the path that it calls, which ends with a token. Any
// other request is answered as a dry run, and has a small lane of its own: it is one of a pod, or of an API server that does
// not know the path yet.
type Server struct {
	log       logr.Logger
	token     func() string
	apiServer *lane
	strangers *lane
	draining  atomic.Bool
}

// NewServer returns a server of the handler. token returns what the path of the API server's calls ends with, "" while that
// is not known.
func NewServer(handler *Handler, token func() string) *Server {
	return &Server{
		log:       handler.Log,
		token:     token,
		apiServer: newLane(parallelRequests, MaxReview, handler.Answer),
		strangers: newLane(parallelStrangers, maxStranger, handler.forStrangers().rehearse),
	}
}

// Drain has clients close each connection after the next answer on it. An API server keeps connections, and a request that it
// sends on one which is being closed is lost; so let it first close those that it uses.
func (s *Server) Drain() { s.draining.Store(true) }

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.draining.Load() {
		w.Header().Set("Connection", "close")
	}
	lane := s.strangers
	if s.Knows(r) {
		lane = s.apiServer
	}
	place, document, err := lane.enter(w, r)
	if err != nil {
		s.refuse(w, lane, statusOf(err), err)
		return
	}
	defer place.leave()
	answer, err := lane.answer(context.WithValue(r.Context(), placeKey{}, place), document)
	if err != nil {
		s.refuse(w, lane, http.StatusBadRequest, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(answer)
}

// Knows reports whether the request has the path that only the API server knows.
func (s *Server) Knows(r *http.Request) bool {
	token := s.token()
	return token != "" && subtle.ConstantTimeCompare([]byte(r.URL.Path), []byte(Path+"/"+token)) == 1
}

// statusOf returns the status of a request whose body could not be read, or waited too long.
func statusOf(err error) int {
	tooLarge, cut := errTooLarge{}, (*http.MaxBytesError)(nil)
	switch {
	case errors.As(err, &tooLarge), errors.As(err, &cut):
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		return http.StatusRequestTimeout
	}
	return http.StatusServiceUnavailable
}

// refuse answers with an error. Those of strangers are not logged, as anyone can send any number of them.
func (s *Server) refuse(w http.ResponseWriter, lane *lane, status int, err error) {
	if lane == s.apiServer {
		s.log.Error(err, "request not answered")
	}
	http.Error(w, err.Error(), status)
}
