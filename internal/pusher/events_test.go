package pusher_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/docker/dockertest"
	"kind-local-registry/internal/pusher"
	"kind-local-registry/internal/rules"
)

// eventually limits how long a test waits for an event.
const eventually = 30 * time.Second

// follow lets the service follow the daemon until the test ends.
func (e env) follow(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var following sync.WaitGroup
	following.Go(func() { e.service.Follow(ctx, slog.New(slog.DiscardHandler)) })
	t.Cleanup(func() { cancel(); following.Wait() })
	e.engine.AwaitWatcher()
}

// events returns a channel that receives the source's events until the test ends.
func events(t *testing.T, source api) <-chan pusher.Event {
	t.Helper()
	received, ended := make(chan pusher.Event, 2*pusher.MaxUnread), make(chan error, 1)
	connected := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		ended <- source.Events(ctx, func() { close(connected) }, func(event pusher.Event) { received <- event })
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Events = %v, want %v", err, context.Canceled)
		}
	})
	<-connected
	return received
}

// wantEvents fails the test unless the next events are these. It ignores events about progress, the events' times, and digests that are
// not known.
func wantEvents(t *testing.T, when string, received <-chan pusher.Event, want ...pusher.Event) {
	t.Helper()
	var got []pusher.Event
	timeout := time.After(eventually)
	for len(got) < len(want) {
		select {
		case event := <-received:
			if event.Time.IsZero() {
				t.Errorf("event %+v has no time", event)
			}
			if event.Kind == pusher.EventPushing {
				continue
			}
			if event.Kind == pusher.EventAvailable && event.Digest != "" && want[len(got)].Digest == "" {
				event.Digest = ""
			}
			got = append(got, event)
		case <-timeout:
			t.Fatalf("%s: only the events %+v, want %+v", when, got, want)
		}
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(pusher.Event{}, "Time")); diff != "" {
		t.Errorf("events %s (-want +got):\n%s", when, diff)
	}
}

// built returns the event of a build of a/b:1.
func built(image dockertest.Image) pusher.Event {
	return pusher.Event{Kind: pusher.EventBuilt, Name: "a/b:1", ImageID: image.ID()}
}

// available returns the event that a build of a/b:1 can be pulled.
func available(image dockertest.Image, d digest.Digest) pusher.Event {
	return pusher.Event{Kind: pusher.EventAvailable, Name: "a/b:1", ImageID: image.ID(), Digest: d}
}

func TestEvents_FollowATagThereAndBack(t *testing.T) {
	t.Parallel()
	for _, where := range []string{"in the process", "over the network"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			e := newEnvWith(t, rules.Rules{PrePush: true})
			e.follow(t)
			received := events(t, e.both(t)[where])
			first := dockertest.NewImage("first", dockertest.Layer("first"))
			second := dockertest.NewImage("second", dockertest.Layer("second"))
			e.engine.Tag("docker.io/a/b:1", first)
			pushed, err := e.service.Push(t.Context(), registryHost+"/a/b:1", nil)
			if err != nil {
				t.Fatalf("Push: %v", err)
			}
			if event := <-received; event.Kind != pusher.EventPushing || event.Progress == nil || event.ImageID != first.ID() {
				t.Errorf("the first event of a push = %+v, want its progress", event)
			}
			wantEvents(t, "after the push", received, available(first, pushed.Digest))
			e.engine.Build("docker.io/a/b:1", second)
			wantEvents(t, "after the rebuild", received, built(second), available(second, ""))
			e.engine.Build("docker.io/a/b:1", first)
			wantEvents(t, "after the tag moved back", received, built(first), available(first, pushed.Digest))
		})
	}
}

func TestEvents_ReportBuildsOfNewImages(t *testing.T) {
	t.Parallel()
	var inForce rules.Rules
	inForce.PrePush, inForce.Images.Exclude = true, []string{"docker.io/secret/**"}
	e := newEnvWith(t, inForce)
	e.follow(t)
	received := events(t, e.client(t, e.credentials))
	image := dockertest.NewImage("a", dockertest.Layer("a"))
	e.engine.Build("docker.io/secret/b:1", image)
	e.engine.Build("docker.io/a/b:1", image)
	wantEvents(t, "after an excluded build and another", received, built(image))
}

func TestEvents_ReportAPromiseBeforeItsPush(t *testing.T) {
	t.Parallel()
	e := newPromising(t, &linker{}, rules.Rules{})
	received := events(t, e.env.client(t, e.credentials))
	image := e.build(t, "first")
	d := e.mustPromise(t)
	e.service.AwaitPromises()
	wantEvents(t, "after the push", received, available(image, d), available(image, d))
}

func TestEvents_ReportFailedPushes(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	received := events(t, e.client(t, e.credentials))
	e.engine.Tag("docker.io/a/b:1", dockertest.NewImage("a", dockertest.Layer("a")))
	e.engine.FailSaves("in a test")
	_, err := e.service.Push(t.Context(), "a/b:1", nil)
	if err == nil {
		t.Fatal("Push = nil, want an error")
	}
	image := dockertest.NewImage("a", dockertest.Layer("a"))
	wantEvents(t, "after a failed push", received,
		pusher.Event{Kind: pusher.EventFailed, Name: "a/b:1", ImageID: image.ID(), Error: err.Error()})
}

func TestEvents_ReportCancelledPushes(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	received := events(t, e.client(t, e.credentials))
	layer, begun, _ := blocked(t, 1)
	image := dockertest.NewImage("a", layer)
	e.engine.Tag("docker.io/a/b:1", image)
	ctx, leave := context.WithCancel(t.Context())
	go func() { <-begun; leave() }()
	_, err := e.service.Push(ctx, "a/b:1", nil)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Push = %v, want %v", err, context.Canceled)
	}
	wantEvents(t, "after the last caller has left", received,
		pusher.Event{Kind: pusher.EventFailed, Name: "a/b:1", ImageID: image.ID(), Error: "the push was cancelled"})
}

func TestFollow_PromisesTheRebuildOfAPromisedImage(t *testing.T) {
	t.Parallel()
	e := newPromising(t, &linker{}, rules.Rules{PrePush: true})
	e.service.LengthenPauses() // so the registry does not serve the first build under its tag
	e.follow(t)
	e.build(t, "first")
	e.mustPromise(t)
	received := events(t, e.env.client(t, e.credentials))
	second := e.build(t, "second")
	e.engine.Build("docker.io/a/b:1", second)
	wantEvents(t, "after the rebuild", received, built(second), available(second, ""))
}

func TestFollow_PushesNothingWithoutPrePush(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.follow(t)
	first := dockertest.NewImage("first", dockertest.Layer("first"))
	second := dockertest.NewImage("second", dockertest.Layer("second"))
	e.engine.Tag("docker.io/a/b:1", first)
	if _, err := e.service.Push(t.Context(), "a/b:1", nil); err != nil {
		t.Fatalf("Push: %v", err)
	}
	received := events(t, e.client(t, e.credentials))
	e.engine.Build("docker.io/a/b:1", second)
	e.engine.Build("docker.io/a/b:1", first)
	var movedBack bool
	for timeout := time.After(eventually); ; {
		select {
		case <-timeout:
			t.Fatal("no event that the registry has the first build")
		case event := <-received:
			if event.Kind != pusher.EventBuilt && event.ImageID == second.ID() {
				t.Errorf("event %+v, want no push", event)
			}
			movedBack = movedBack || event.Kind == pusher.EventBuilt && event.ImageID == first.ID()
			if movedBack && event.Kind == pusher.EventAvailable {
				return
			}
		}
	}
}

func TestEvents_DropProgressForSlowConsumers(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	reading, stop := context.WithCancel(t.Context())
	begun, proceed, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	kinds := map[pusher.EventKind]int{}
	connected := make(chan struct{})
	go func() {
		ended <- e.service.EventsFrom(reading, func() { close(connected) }, func(event pusher.Event) {
			if kinds[event.Kind]++; kinds[pusher.EventPushing] == 1 && event.Kind == pusher.EventPushing {
				close(begun)
				<-proceed
			}
			if event.Kind == pusher.EventAvailable {
				stop()
			}
		})
	}()
	<-connected
	for range 2 * pusher.MaxUnread {
		e.service.Send(pusher.Event{Kind: pusher.EventPushing})
	}
	<-begun
	e.service.Send(pusher.Event{Kind: pusher.EventAvailable})
	close(proceed)
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Events = %v, want %v", err, context.Canceled)
	}
	if got := kinds[pusher.EventPushing]; got == 0 || got >= 2*pusher.MaxUnread {
		t.Errorf("%d events about progress received of %d, want some and not all", got, 2*pusher.MaxUnread)
	}
}

func TestEvents_EndForConsumersThatMissABuild(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	begun, proceed, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	connected := make(chan struct{})
	block := sync.OnceFunc(func() { close(begun); <-proceed })
	go func() {
		ended <- e.service.EventsFrom(t.Context(), func() { close(connected) }, func(pusher.Event) { block() })
	}()
	<-connected
	e.service.Send(pusher.Event{Kind: pusher.EventBuilt})
	<-begun
	for range pusher.MaxUnread + 1 {
		e.service.Send(pusher.Event{Kind: pusher.EventBuilt})
	}
	close(proceed)
	if err := <-ended; !errors.Is(err, pusher.ErrTooSlow) {
		t.Errorf("Events = %v, want %v", err, pusher.ErrTooSlow)
	}
}

func TestServer_EndsStreamsOfEventsWhenItStops(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	var stop func()
	e.address, stop = e.startServer(t)
	connected, ended := make(chan struct{}), make(chan error, 1)
	client := e.client(t, e.credentials)
	go func() { ended <- client.Events(t.Context(), func() { close(connected) }, func(pusher.Event) {}) }()
	<-connected
	begun := time.Now()
	stop()
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("the server waited %v for a stream of events", took)
	}
	if err := <-ended; !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("Events = %v, want %v", err, io.ErrUnexpectedEOF)
	}
}
