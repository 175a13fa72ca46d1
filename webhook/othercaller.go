package webhook

import (
	"context"

	"github.com/go-logr/logr"
)

// ForStrangers returns a handler that answers like h but has no side effects. It is for callers that may not be the API server,
// so the pod in the request may never exist.
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

// AnswerAsDryRun is like Answer, but treats every request as a dry run.
func (h *Handler) AnswerAsDryRun(ctx context.Context, document []byte) ([]byte, error) {
	return h.answer(ctx, document, true)
}
