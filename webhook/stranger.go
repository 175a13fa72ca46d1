package webhook

import (
	"context"

	"github.com/go-logr/logr"
)

// ForStrangers returns a handler that answers as h does and leaves no trace: the caller may not be the API server, and the pod
// of the request may not exist.
func (h *Handler) ForStrangers() *Handler {
	traceless := *h
	traceless.Log = logr.Discard()
	traceless.Journal = NewJournal(logr.Discard())
	traceless.Metrics = NewMetrics()
	traceless.Guard = NewLoopGuard()
	traceless.Pushes = nil
	traceless.Events = nil
	return &traceless
}

// AnswerAsDryRun is Answer for a request that is taken for a dry run, whatever it says.
func (h *Handler) AnswerAsDryRun(ctx context.Context, document []byte) ([]byte, error) {
	return h.answer(ctx, document, true)
}
