// Package pushertest starts the pusher's service for tests of the service's clients.
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

// NewService returns a service that pushes the engine's images into a new registry. The service has no rules. The service and
// the registry stop when the test ends.
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
