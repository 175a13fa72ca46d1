package pusher

import (
	"errors"
	"time"

	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/push"
	"kind-local-registry/internal/rewrite"
)

const (
	lookupPath = "/v1/lookup"
	pushPath   = "/v1/push"
	// promisePath is the path of a request to promise an image.
	promisePath = "/v1/promise"
	// nodesPath is the path of a request for the nodes that can get layers as hard links.
	nodesPath = "/v1/nodes"
	// nodeLayersPath is the path of a request for how many layers of an image each node has.
	nodeLayersPath = "/v1/node-layers"
	// brokenPath is the path of a request for the promises that were broken.
	brokenPath = "/v1/broken-promises"
	// eventsPath is the path of a request for the events of the host's images.
	eventsPath = "/v1/events"
	// imagesPath, prunePath and verifyPath are the paths of requests about disk space. Only the host may send them.
	imagesPath = "/v1/images"
	prunePath  = "/v1/prune"
	verifyPath = "/v1/verify"

	// heartbeat is the maximum time between two lines in the response to a push.
	heartbeat = 5 * time.Second
	// maxLine is the maximum size in bytes of a request, and of a line in a response.
	maxLine = 64 << 10
)

// pushRequest is the body of a push request.
type pushRequest struct {
	Name string `json:"name"`
	// Deliver asks for Service.Deliver instead of Service.Push.
	Deliver bool `json:"deliver,omitempty"`
}

// promised is the body of the response to a promise.
type promised struct {
	Digest digest.Digest `json:"digest"`
}

// message is one line in the response to a push. Exactly one field is set. The last line contains a result or an error.
type message struct {
	Progress *push.Progress `json:"progress,omitempty"`
	Result   *push.Result   `json:"result,omitempty"`
	Error    *fault         `json:"error,omitempty"`
}

// fault is an error in a response.
type fault struct {
	// Reason is set if the error is a *rewrite.Refusal. It is "" for any other error.
	Reason rewrite.Reason `json:"reason"`
	Detail string         `json:"detail"`
}

// newFault converts err into the fault that is sent to the client.
func newFault(err error) *fault {
	if refusal, ok := errors.AsType[*rewrite.Refusal](err); ok {
		return &fault{Reason: refusal.Reason, Detail: refusal.Detail}
	}
	return &fault{Detail: err.Error()}
}

// err converts the fault back into an error. The error is a *rewrite.Refusal if the fault has a reason.
func (f fault) err() error {
	if f.Reason != "" {
		return &rewrite.Refusal{Reason: f.Reason, Detail: f.Detail}
	}
	return errors.New(f.Detail)
}
