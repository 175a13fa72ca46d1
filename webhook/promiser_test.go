package webhook_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"

	"kind-local-registry/webhook"
	"kind-local-registry/webhook/webhooktest"
)

// promiser answers every request for a promise with answer, or with webhooktest.Digest if answer is nil.
type promiser struct {
	takes  time.Duration
	answer func(ctx context.Context, image string) (string, error)

	mu    sync.Mutex
	asked []string
}

// Promise implements webhook.Promiser.
func (p *promiser) Promise(ctx context.Context, image string) (string, error) {
	p.mu.Lock()
	p.asked = append(p.asked, image)
	p.mu.Unlock()
	select {
	case <-time.After(p.takes):
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if p.answer != nil {
		return p.answer(ctx, image)
	}
	return webhooktest.Digest, nil
}

// wantAsked fails the test unless promises of exactly these images were requested, in any order.
func (p *promiser) wantAsked(t *testing.T, want ...string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	sorted := cmpopts.SortSlices(func(a, b string) bool { return a < b })
	if diff := cmp.Diff(want, p.asked, sorted, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("images to promise (-want +got):\n%s", diff)
	}
}

// newPromising returns a handler with the promiser, and the pusher that it uses for other images.
func newPromising(t *testing.T, by *promiser) (*webhook.Handler, *webhooktest.SlowPusher) {
	t.Helper()
	h, pusher := webhooktest.NewHandler(t, logr.Discard()), &webhooktest.SlowPusher{}
	h.Promises = &webhook.Promises{Promiser: by}
	h.Pushes = webhook.NewPushes(t.Context(), pusher, time.Minute, logr.Discard())
	return h, pusher
}

// admitted returns the pod after its creation.
func admitted(t *testing.T, h *webhook.Handler, pod string) *corev1.Pod {
	t.Helper()
	request := creation(pod)
	return patched(t, request, h.Handle(t.Context(), request))
}

const pinnedApp = "localhost:5001/host/app:1@" + webhooktest.Digest

// imageIn returns the image in the patch's first operation that sets an image.
func imageIn(t *testing.T, patch []byte) string {
	t.Helper()
	var operations []struct {
		Path  string
		Value any
	}
	if err := json.Unmarshal(patch, &operations); err != nil {
		t.Fatalf("patch %s: %v", patch, err)
	}
	for _, operation := range operations {
		if strings.HasSuffix(operation.Path, "/image") || strings.HasSuffix(operation.Path, "/reference") {
			image, _ := operation.Value.(string)
			return image
		}
	}
	return ""
}
