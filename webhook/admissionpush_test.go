package webhook_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"

	"kind-local-registry/internal/rewrite"
	"kind-local-registry/webhook"
	"kind-local-registry/webhook/webhooktest"
)

// debug returns a pod with an ephemeral container that runs the image, and the same pod without the container.
func debug(image string) (pod, old string) {
	return `{"spec":{"ephemeralContainers":[{"name":"debug","image":"` + image + `"}]}}`, `{"spec":{}}`
}

func TestPushes_ContinueAfterTheAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := webhooktest.NewHandler(t, logr.Discard())
		pusher := &webhooktest.SlowPusher{Takes: time.Minute, Failures: 2}
		h.Pushes = webhook.NewPushes(t.Context(), pusher, 10*time.Minute, logr.Discard())
		pod, old := debug("host/tools:1")
		request := creation(pod)
		request.Operation, request.SubResource, request.OldObject.Raw = "UPDATE", "ephemeralcontainers", []byte(old)

		start := time.Now()
		response := h.Handle(t.Context(), request)
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("the answer took %s, want 2s", took)
		}
		if !strings.Contains(string(response.Patch), `"localhost:5001/host/tools:1-fedcba987654"`) {
			t.Errorf("patch = %s, want the build's reference", response.Patch)
		}
		time.Sleep(4 * time.Minute)
		synctest.Wait()
		if pusher.Pushed != 1 {
			t.Errorf("pushed %d times, want once, after two failures", pusher.Pushed)
		}
	})
}

func TestPushes_GiveUpAtTheDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pushes := webhook.NewPushes(t.Context(), &webhooktest.SlowPusher{Failures: 1 << 30}, time.Minute, logr.Discard())
		start := time.Now()
		_, err := pushes.Push(t.Context(), "host/x")
		if err == nil || time.Since(start) != time.Minute {
			t.Errorf("Push failed with %v after %s, want an error after a minute", err, time.Since(start))
		}
	})
}

func TestPushes_DoNotRetryRefusals(t *testing.T) {
	t.Parallel()
	pushes := webhook.NewPushes(t.Context(), webhooktest.World{}, time.Minute, logr.Discard())
	_, err := pushes.Push(t.Context(), "gone/x")
	if refusal := (*rewrite.Refusal)(nil); !errors.As(err, &refusal) {
		t.Errorf("Push: %v, want a refusal", err)
	}
}
