package delivery

import (
	"context"
	"strings"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kind-local-registry/webhook"
	"kind-local-registry/webhook/podimage"
)

const (
	// brokenInterval is the time between two requests for the promises that were broken.
	brokenInterval = 5 * time.Second
	// brokenTimeout limits how long such a request takes.
	brokenTimeout = 5 * time.Second
)

// BrokenPromises knows which promises were broken.
type BrokenPromises interface {
	// BrokenPromises returns the promises that were broken recently.
	BrokenPromises(ctx context.Context) ([]webhook.BrokenPromise, error)
}

// PromiseWatcher writes a Warning Event about each pod whose image was promised if that promise is broken. It is a
// manager.Runnable that only the leader runs. After a restart, it may write an Event again.
type PromiseWatcher struct {
	// Reader lists the pods.
	Reader client.Reader
	// Promises knows which promises were broken.
	Promises BrokenPromises
	// Events records Events about the pods.
	Events webhook.Recorder
	// Log receives a line about each failure to list the pods.
	Log logr.Logger

	reported map[webhook.BrokenPromise]bool
}

// Start watches promises until ctx ends.
func (w *PromiseWatcher) Start(ctx context.Context) error {
	tick := time.NewTicker(brokenInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			w.check(ctx)
		}
	}
}

// check writes Events about the promises that were broken since the last check. If the pusher does not answer, the next check
// finds the promises.
func (w *PromiseWatcher) check(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, brokenTimeout)
	defer cancel()
	all, err := w.Promises.BrokenPromises(ctx)
	if err != nil {
		return
	}
	reported := map[webhook.BrokenPromise]bool{}
	for _, broken := range all {
		reported[broken] = w.reported[broken] || w.report(ctx, broken)
	}
	w.reported = reported // without the promises that the pusher no longer lists
}

// report writes an Event about each pod with the promised image. It returns false if the pods cannot be listed.
func (w *PromiseWatcher) report(ctx context.Context, broken webhook.BrokenPromise) bool {
	var pods corev1.PodList
	if err := w.Reader.List(ctx, &pods); err != nil {
		w.Log.Error(err, "broken promise not reported", "image", broken.Image)
		return false
	}
	for i := range pods.Items {
		for _, field := range podimage.Fields(&pods.Items[i]) {
			if strings.HasSuffix(field.Image, "@"+broken.Digest) {
				w.Events.Eventf(reference(&pods.Items[i], field.Path), nil, corev1.EventTypeWarning, broken.Reason, deliver,
					"Image %q: %.700s", broken.Image, broken.Detail)
			}
		}
	}
	return true
}
