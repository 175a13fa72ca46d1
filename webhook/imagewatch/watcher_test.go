package imagewatch

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"kind-local-registry/internal/rewrite"
)

// stream is a fake event stream. Each connection reports one image and is then lost.
type stream struct{ names []string }

// ImageEvents implements Events.
func (s *stream) ImageEvents(ctx context.Context, connected func(), each func(string)) error {
	if len(s.names) == 0 {
		<-ctx.Done()
		return ctx.Err()
	}
	connected()
	each(s.names[0])
	s.names = s.names[1:]
	return errors.New("connection lost")
}

// received returns the images that the channel has after all goroutines are idle.
func received(channel <-chan event.TypedGenericEvent[string]) (images []string) {
	synctest.Wait()
	for len(channel) > 0 {
		images = append(images, (<-channel).Object)
	}
	return images
}

func TestWatcher_ReportsAllAfterEachConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const a, b = "docker.io/example/a:1", "docker.io/library/b:latest"
		var forgotten []string
		watcher := New(&stream{names: []string{"example/a:1", "b"}}, func(name rewrite.Name) {
			forgotten = append(forgotten, name.String())
		}, logr.Discard())
		first, second := watcher.Channel(), watcher.Channel()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- watcher.Start(ctx) }()

		received(first) // the order of the start and of the first connection is open
		time.Sleep(reconnectPause)
		if diff := cmp.Diff([]string{All, b}, received(first)); diff != "" {
			t.Errorf("after the second connection (-want +got):\n%s", diff)
		}
		time.Sleep(fullInterval)
		if diff := cmp.Diff([]string{All}, received(first)); diff != "" {
			t.Errorf("after the interval (-want +got):\n%s", diff)
		}
		watcher.Report(ctx, "example/a:1")
		if diff := cmp.Diff([]string{a}, received(first)); diff != "" {
			t.Errorf("after Report (-want +got):\n%s", diff)
		}
		if got := received(second); len(got) != 7 {
			t.Errorf("the second channel has %q, want the same seven reports", got)
		}
		if diff := cmp.Diff([]string{a, b, a}, forgotten); diff != "" {
			t.Errorf("forgotten lookups (-want +got):\n%s", diff)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
