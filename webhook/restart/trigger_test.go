package restart

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"

	"kind-local-registry/internal/rewrite"
	"kind-local-registry/webhook"
)

// pusher is a fake pusher. Each connection to its event stream reports one image and is then lost.
type pusher struct {
	names   []string
	pushes  []string
	unblock chan struct{}
}

// ImageEvents implements ImageEvents.
func (p *pusher) ImageEvents(ctx context.Context, connected func(), each func(string)) error {
	if len(p.names) == 0 {
		<-ctx.Done()
		return ctx.Err()
	}
	connected()
	each(p.names[0])
	p.names = p.names[1:]
	return errors.New("connection lost")
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

// start starts a Trigger in a bubble. received returns the images that it has reported since the last call.
func start(t *testing.T, p *pusher, forget func(rewrite.Name)) (trigger *Trigger, received func() []string) {
	t.Helper()
	trigger = NewTrigger(p, p, forget, logr.Discard())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- trigger.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return trigger, func() []string {
		synctest.Wait()
		var images []string
		for len(trigger.changed) > 0 {
			images = append(images, (<-trigger.changed).Object)
		}
		return images
	}
}

func TestTrigger_ChecksAllAfterEachConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var forgotten []string
		_, received := start(t, &pusher{names: []string{"example/a:1", "b"}}, func(name rewrite.Name) {
			forgotten = append(forgotten, name.String())
		})
		const a, b = "docker.io/example/a:1", "docker.io/library/b:latest"
		received() // the order of the start and of the first connection is open
		time.Sleep(reconnectPause)
		if diff := cmp.Diff([]string{allImages, b}, received()); diff != "" {
			t.Errorf("after the second connection (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{a, b}, forgotten); diff != "" {
			t.Errorf("forgotten lookups (-want +got):\n%s", diff)
		}
		time.Sleep(fullCheckInterval)
		if diff := cmp.Diff([]string{allImages}, received()); diff != "" {
			t.Errorf("after the interval (-want +got):\n%s", diff)
		}
	})
}

func TestTrigger_PushesAnImageOnceAndReportsIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &pusher{unblock: make(chan struct{})}
		trigger, received := start(t, p, func(rewrite.Name) {})
		received()
		for range 3 {
			trigger.push("example/a:1")
			synctest.Wait()
		}
		if diff := cmp.Diff([]string{"example/a:1"}, p.pushes); diff != "" {
			t.Errorf("pushes (-want +got):\n%s", diff)
		}
		close(p.unblock)
		if diff := cmp.Diff([]string{"docker.io/example/a:1"}, received()); diff != "" {
			t.Errorf("reported (-want +got):\n%s", diff)
		}
		trigger.push("example/refused:1")
		if got := received(); len(got) > 0 {
			t.Errorf("after a failed push, reported %q, want nothing", got)
		}
		trigger.push("example/refused:1")
		synctest.Wait()
		if got := len(p.pushes); got != 3 {
			t.Errorf("%d pushes, want 3: a failed one is repeated when asked for", got)
		}
	})
}
