package endpoint

import (
	"crypto/subtle"
	"errors"
	"net/http"
	"os"
	"sync/atomic"

	"github.com/go-logr/logr"

	"kind-local-registry/webhook"
)

const (
	// maxConcurrentRequests limits how many of the API server's requests are answered concurrently. Further requests wait, so that a
	// burst does not exhaust the process's memory.
	maxConcurrentRequests = 16
	// maxConcurrentStrangers is the same limit for requests from other callers. maxStrangerBody is the maximum size of their bodies
	// in bytes.
	maxConcurrentStrangers = 2
	maxStrangerBody        = 1 << 20
)

// Handler answers admission requests over HTTP. If it cannot answer a request, it returns an HTTP error instead of a denial.
// Because of failurePolicy: Ignore, the API server then admits the pod.
//
// Only the API server knows the path, which ends with a token. A request with any other path comes from a pod, or from an API
// server that does not know the path yet. Such a request is answered as a dry run, in a small lane of its own.
type Handler struct {
	log       logr.Logger
	token     func() string
	apiServer *lane
	strangers *lane
	draining  atomic.Bool
}

// New returns a Handler that passes requests to admission. token returns the token at the end of the API server's path, or ""
// while the token is unknown.
func New(admission *webhook.Handler, token func() string) *Handler {
	return &Handler{
		log:       admission.Log,
		token:     token,
		apiServer: newLane(maxConcurrentRequests, webhook.MaxReview, admission.Answer),
		strangers: newLane(maxConcurrentStrangers, maxStrangerBody, admission.ForStrangers().AnswerAsDryRun),
	}
}

// Drain makes clients close each connection after its next response. The API server pools connections, and a request is lost if
// its connection closes just as it is sent. So the API server must close its connections before the process ends.
func (h *Handler) Drain() { h.draining.Store(true) }

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h.draining.Load() {
		w.Header().Set("Connection", "close")
	}
	lane := h.strangers
	if h.Knows(r) {
		lane = h.apiServer
	}
	place, document, err := lane.enter(w, r)
	if err != nil {
		h.refuse(w, lane, statusOf(err), err)
		return
	}
	defer place.leave()
	answer, err := lane.answer(webhook.WithRoom(r.Context(), place.wait), document)
	if err != nil {
		h.refuse(w, lane, http.StatusBadRequest, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(answer)
}

// Knows reports whether the request's path contains the token that only the API server knows.
func (h *Handler) Knows(r *http.Request) bool {
	token := h.token()
	return token != "" && subtle.ConstantTimeCompare([]byte(r.URL.Path), []byte(webhook.Path+"/"+token)) == 1
}

// statusOf returns the HTTP status for a request whose body could not be read or that waited too long.
func statusOf(err error) int {
	_, tooLarge := errors.AsType[errTooLarge](err)
	_, cut := errors.AsType[*http.MaxBytesError](err)
	switch {
	case tooLarge, cut:
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		return http.StatusRequestTimeout
	}
	return http.StatusServiceUnavailable
}

// refuse answers with an error. Errors in strangers' requests are not logged, because anyone can cause any number of them.
func (h *Handler) refuse(w http.ResponseWriter, lane *lane, status int, err error) {
	if lane == h.apiServer {
		h.log.Error(err, "request not answered")
	}
	http.Error(w, err.Error(), status)
}
