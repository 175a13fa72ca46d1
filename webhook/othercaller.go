package webhook

import (
	"context"

	"github.com/go-logr/logr"
)

// ForStrangers returns a handler that answers as h does and has no side effects: the caller may not be the API server, and the
// pod of the request may not exist.
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

// AnswerAsDryRun is Answer, but it treats the request as a dry run, whatever the request says.
func (h *Handler) AnswerAsDryRun(ctx context.Context, document []byte) ([]byte, error) {
	return h.answer(ctx, document, true)
}
