package pusher

import (
	"errors"
	"time"

	"kind-local-registry/internal/push"
	"kind-local-registry/internal/rewrite"
)

const (
	lookupPath = "/v1/lookup"
	pushPath   = "/v1/push"

	// heartbeat is the maximum time between two lines of the response to a push.
	heartbeat = 5 * time.Second
	// maxLine is the limit in bytes for a request and for a line of a response.
	maxLine = 64 << 10
)

// pushRequest is the body of a push.
type pushRequest struct {
	Name string `json:"name"`
}

// message is a line of the response to a push. It has one of the fields; the last line has a result or an error.
type message struct {
	Progress *push.Progress `json:"progress,omitempty"`
	Result   *push.Result   `json:"result,omitempty"`
	Error    *fault         `json:"error,omitempty"`
}

// fault is an error in a response.
type fault struct {
	// Reason is that of a *rewrite.Refusal; "" for any other error.
	Reason rewrite.Reason `json:"reason"`
	Detail string         `json:"detail"`
}

// newFault returns the fault that the client gets for err.
func newFault(err error) *fault {
	if refusal, ok := errors.AsType[*rewrite.Refusal](err); ok {
		return &fault{Reason: refusal.Reason, Detail: refusal.Detail}
	}
	return &fault{Detail: err.Error()}
}

// err returns the error of the fault: a *rewrite.Refusal if it has a reason.
func (f fault) err() error {
	if f.Reason != "" {
		return &rewrite.Refusal{Reason: f.Reason, Detail: f.Detail}
	}
	return errors.New(f.Detail)
}
