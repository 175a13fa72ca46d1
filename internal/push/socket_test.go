package push_test

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"path/filepath"
	"testing"

	"golang.org/x/sync/errgroup"

	"kind-local-registry/internal/docker/dockertest"
	"kind-local-registry/internal/httpserver"
	"kind-local-registry/internal/push"
	"kind-local-registry/internal/registry"
)

// serveSocket serves the handler on the socket at path until stop is called.
func serveSocket(t *testing.T, path string, handler http.Handler) (stop func()) {
	t.Helper()
	listener, err := httpserver.ListenSocket(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var serving errgroup.Group
	serving.Go(func() error { return registry.Serve(ctx, handler, listener) })
	return func() {
		cancel()
		if err := serving.Wait(); err != nil {
			t.Errorf("Serve: %v", err)
		}
	}
}

func TestPush_UploadsThroughAUnixSocket(t *testing.T) {
	t.Parallel()
	handler, err := registry.New(t.Context(), registry.Config{Root: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "registry.sock")
	defer serveSocket(t, path, handler)()
	client, err := push.NewRegistry("unix://" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	image := dockertest.NewImage("a", dockertest.Noise(300_000, 1), dockertest.Noise(300_000, 2))
	result, err := client.Push(t.Context(), target(), wanted(image, newEnv(t).sources(t, image)...), push.Options{})
	if err != nil {
		t.Fatalf("Push: %v", err)
	}
	if presence, err := client.Presence(t.Context(), target()); err != nil || !presence.Complete || presence.Digest != result.Digest {
		t.Errorf("Presence = %+v (error %v), want %s, complete", presence, err, result.Digest)
	}
}

func TestPresence_WaitsForARegistryRestart(t *testing.T) {
	t.Parallel()
	handler, err := registry.New(t.Context(), registry.Config{Root: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "registry.sock")
	client, err := push.NewRegistry("unix://" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, before := range []string{"the socket does not exist", "the socket refuses connections"} {
		dialling, asked := make(chan struct{}, 10), make(chan error, 1)
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GetConn: func(string) { dialling <- struct{}{} }})
		go func() {
			_, err := client.Presence(ctx, target())
			asked <- err
		}()
		<-dialling
		stop := serveSocket(t, path, handler)
		if err := <-asked; err != nil {
			t.Errorf("Presence while %s: %v", before, err)
		}
		stop()
	}
}
