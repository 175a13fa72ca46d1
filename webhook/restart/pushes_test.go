package restart

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"

	"kind-local-registry/webhook"
)

// pusher is a fake pusher. Its pushes block until unblock is closed.
type pusher struct {
	pushes  []string
	unblock chan struct{}
}

// Push implements webhook.Pusher.
func (p *pusher) Push(_ context.Context, image string, _ func(webhook.Progress)) (string, error) {
	p.pushes = append(p.pushes, image)
	<-p.unblock
	if strings.Contains(image, "refused") {
		return "", errors.New("refused")
	}
	return "sha256:…", nil
}

func TestPushes_PushAnImageOnceAndReportIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, reported := &pusher{unblock: make(chan struct{})}, []string(nil)
		queue := newPushes(p, func(_ context.Context, image string) { reported = append(reported, image) }, logr.Discard())
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- queue.Start(ctx) }()
		for range 3 {
			queue.add("example/a:1")
			synctest.Wait()
		}
		if diff := cmp.Diff([]string{"example/a:1"}, p.pushes); diff != "" {
			t.Errorf("pushes (-want +got):\n%s", diff)
		}
		close(p.unblock)
		synctest.Wait()
		for range 2 {
			queue.add("example/refused:1")
			synctest.Wait()
		}
		if got := len(p.pushes); got != 3 {
			t.Errorf("%d pushes, want 3: a failed one is repeated when asked for", got)
		}
		if diff := cmp.Diff([]string{"example/a:1"}, reported); diff != "" {
			t.Errorf("reported (-want +got):\n%s", diff)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
