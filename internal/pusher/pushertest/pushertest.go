// Package pushertest starts the pusher's service for tests of its clients.
package pushertest

import (
	"log/slog"
	"testing"

	"kind-local-registry/internal/docker"
	"kind-local-registry/internal/docker/dockertest"
	"kind-local-registry/internal/push"
	"kind-local-registry/internal/pusher"
	"kind-local-registry/internal/registry/registrytest"
	"kind-local-registry/internal/rules"
)

// NewService returns the service for the engine's images, with a registry of its own and without rules. Both end with the test.
func NewService(t *testing.T, engine *dockertest.Engine, registryHost string) *pusher.Service {
	t.Helper()
	registry, err := push.NewRegistry(registrytest.Start(t, t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(registry.Close)
	daemon, err := docker.New(engine.Host())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = daemon.Close() })
	service := pusher.NewService(daemon, registry, registryHost, rules.Rules{}, slog.New(slog.DiscardHandler))
	t.Cleanup(service.Close)
	return service
}
