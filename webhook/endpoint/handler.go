package endpoint

import (
	"crypto/subtle"
	"errors"
	"net/http"
	"os"
	"sync/atomic"

	"kind-local-registry/webhook"

	"github.com/go-logr/logr"
)

const (
	// maxConcurrentRequests is how many requests of the API server are answered concurrently. The others wait, so that no burst
	// takes more memory than the process has.
	maxConcurrentRequests = 16
	// maxConcurrentStrangers is the same for requests of other callers, and maxStrangerBody limits their bodies in bytes.
	maxConcurrentStrangers = 2
	maxStrangerBody        = 1 << 20
)

// Handler answers the API server over HTTP. A request that cannot be answered gets an HTTP error and not a denial, so that
// failurePolicy: Ignore lets it through.
//
// The API server knows the path, which ends with a token. Any other request is answered as a dry run, in a small lane of its
// own: it comes from a pod, or from an API server that does not know the path yet.
type Handler struct {
	log       logr.Logger
	token     func() string
	apiServer *lane
	strangers *lane
	draining  atomic.Bool
}

// New returns a Handler whose requests admission answers. token returns the end of the API server's path, or "" while that is
// unknown.
func New(admission *webhook.Handler, token func() string) *Handler {
	return &Handler{
		log:       admission.Log,
		token:     token,
		apiServer: newLane(maxConcurrentRequests, webhook.MaxReview, admission.Answer),
		strangers: newLane(maxConcurrentStrangers, maxStrangerBody, admission.ForStrangers().AnswerAsDryRun),
	}
}

// Drain makes clients close each connection after its next response. An API server pools connections, and loses a request that
// it sends on one which is being closed. So it must first close those that it uses.
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

// Knows reports whether the request has the path that only the API server knows.
func (h *Handler) Knows(r *http.Request) bool {
	token := h.token()
	return token != "" && subtle.ConstantTimeCompare([]byte(r.URL.Path), []byte(webhook.Path+"/"+token)) == 1
}

// statusOf returns the status of a request whose body could not be read, or that waited too long.
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

// refuse answers with an error. Errors of strangers are not logged, as anyone can cause any number of them.
func (h *Handler) refuse(w http.ResponseWriter, lane *lane, status int, err error) {
	if lane == h.apiServer {
		h.log.Error(err, "request not answered")
	}
	http.Error(w, err.Error(), status)
}
