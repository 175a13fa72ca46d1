package pusher_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"kind-local-registry/internal/docker/dockertest"
	"kind-local-registry/internal/push"
	"kind-local-registry/internal/rewrite/rewritetest"
)

// blocked returns a layer that the daemon does not send until release is called. begun receives a value each time the daemon
// begins to send the layer.
func blocked(t *testing.T, seed byte) (layer dockertest.Blob, begun <-chan struct{}, release func()) {
	t.Helper()
	layer = dockertest.Noise(100_000, seed)
	open, started, gate := layer.Open, make(chan struct{}, 100), make(chan struct{})
	layer.Open = func() io.Reader {
		started <- struct{}{}
		<-gate
		return open()
	}
	release = sync.OnceFunc(func() { close(gate) })
	t.Cleanup(release)
	return layer, started, release
}

func TestPush_IsSharedByConcurrentCallers(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	layer, begun, release := blocked(t, 1)
	e.engine.Tag("docker.io/a/b:1", dockertest.NewImage("a", layer))
	const callers = 50
	var group errgroup.Group
	joined := make(chan struct{}, callers)
	for i := range callers {
		pusher := e.both(t)[[]string{"in the process", "over the network"}[i%2]]
		group.Go(func() error {
			_, err := pusher.Push(t.Context(), "a/b:1", once(joined))
			return err
		})
	}
	<-begun
	for range callers {
		<-joined
	}
	release()
	if err := group.Wait(); err != nil {
		t.Errorf("Push: %v", err)
	}
	if saves := e.engine.Saves(); saves != 1 {
		t.Errorf("%d callers made %d saves, want 1", callers, saves)
	}
}

func TestPush_ContinuesForTheRemainingCaller(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	layer, begun, release := blocked(t, 1)
	e.engine.Tag("docker.io/a/b:1", dockertest.NewImage("a", layer))
	impatient, leave := context.WithCancel(t.Context())
	left, stayed := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := e.service.Push(impatient, "a/b:1", nil)
		left <- err
	}()
	<-begun
	joined := make(chan struct{}, 1)
	go func() {
		_, err := e.service.Push(t.Context(), "a/b:1", once(joined))
		stayed <- err
	}()
	<-joined
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("Push of the caller who left = %v, want %v", err, context.Canceled)
	}
	release()
	if err := <-stayed; err != nil {
		t.Errorf("Push of the remaining caller: %v", err)
	}
	if saves := e.engine.Saves(); saves != 1 {
		t.Errorf("%d saves, want 1", saves)
	}
}

func TestPush_EndsWhenTheLastCallerLeaves(t *testing.T) {
	t.Parallel()
	for _, where := range []string{"in the process", "over the network"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t)
			layer, begun, release := blocked(t, 1)
			e.engine.Tag("docker.io/a/b:1", dockertest.NewImage("a", layer))
			ctx, leave := context.WithCancel(t.Context())
			left := make(chan error, 1)
			go func() {
				_, err := e.both(t)[where].Push(ctx, "a/b:1", nil)
				left <- err
			}()
			<-begun
			leave()
			if err := <-left; !errors.Is(err, context.Canceled) {
				t.Errorf("Push = %v, want %v", err, context.Canceled)
			}
			e.service.Close() // Close returns even though the daemon has sent nothing
			release()
			presence, err := e.service.Lookup(t.Context(), rewritetest.Name(t, "a/b:1"))
			if err != nil || presence.Served != "" {
				t.Errorf("Lookup = %+v (error %v), want nothing served", presence, err)
			}
			if _, err := e.service.Push(t.Context(), "a/b:1", nil); err == nil {
				t.Error("Push after Close: no error")
			}
		})
	}
}

func TestPush_PushesTwoImagesConcurrently(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	const images = 5
	var group errgroup.Group
	var releases []func()
	started := make(chan struct{}, images)
	for i := range images {
		layer, begun, release := blocked(t, byte(i))
		releases = append(releases, release)
		name := fmt.Sprintf("docker.io/a/b:%d", i)
		e.engine.Tag(name, dockertest.NewImage(name, layer))
		go func() { <-begun; started <- struct{}{} }()
		group.Go(func() error {
			_, err := e.service.Push(t.Context(), name, nil)
			return err
		})
	}
	<-started
	<-started
	// A third push would begin within this number of round trips.
	for range 50 {
		if _, err := e.service.Lookup(t.Context(), rewritetest.Name(t, "a/b:0")); err != nil {
			t.Fatalf("Lookup: %v", err)
		}
	}
	if more := len(started); more > 0 {
		t.Errorf("%d images are being pushed concurrently, want 2", 2+more)
	}
	for _, release := range releases {
		release()
	}
	if err := group.Wait(); err != nil {
		t.Errorf("Push: %v", err)
	}
	for range images - 2 {
		<-started
	}
}

// once returns a progress function whose first call sends a value to joined.
func once(joined chan<- struct{}) func(push.Progress) {
	send := sync.OnceFunc(func() { joined <- struct{}{} })
	return func(push.Progress) { send() }
}
