package pusher_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/disk"
	"kind-local-registry/internal/docker"
	"kind-local-registry/internal/docker/dockertest"
	"kind-local-registry/internal/link/linkapi"
	"kind-local-registry/internal/push"
	"kind-local-registry/internal/pusher"
	"kind-local-registry/internal/registry/registrytest"
	"kind-local-registry/internal/rewrite"
	"kind-local-registry/internal/rules"
)

// registryHost is the registry's host in image references.
const registryHost = "localhost:5001"

// api lists the methods that Service and Client have in common.
type api interface {
	Lookup(ctx context.Context, name rewrite.Name) (rewrite.Presence, error)
	Push(ctx context.Context, image string, progress func(push.Progress)) (push.Result, error)
	Promise(ctx context.Context, image string) (digest.Digest, error)
	Deliver(ctx context.Context, image string, progress func(push.Progress)) (push.Result, error)
	Events(ctx context.Context, connected func(), each func(pusher.Event)) error
	NodeLayers(ctx context.Context, image string) ([]linkapi.NodeLayers, error)
}

// env contains a fake daemon, a registry, the service that connects them, and the service's server.
type env struct {
	engine      *dockertest.Engine
	service     *pusher.Service
	registry    string // the registry's URL
	credentials pusher.Credentials
	address     string
	log         *buffer
	pruner      *disk.Pruner // nil if the server answers no requests about disk space
}

// newEnv starts an env without rules. The env stops when the test ends.
func newEnv(t testing.TB) env {
	t.Helper()
	return newEnvWith(t, rules.Rules{})
}

// newEnvWith starts an env with the given rules. The env stops when the test ends.
func newEnvWith(t testing.TB, inForce rules.Rules) env {
	t.Helper()
	e := env{engine: dockertest.NewEngine(t), registry: registrytest.Start(t, t.TempDir()), log: &buffer{}}
	e.service = e.newService(t, inForce)
	e.credentials = newCredentials(t)
	e.address = e.serve(t)
	return e
}

// newService starts a service for the env's daemon and registry. It stops when the test ends.
func (e env) newService(t testing.TB, inForce rules.Rules) *pusher.Service {
	t.Helper()
	registry, err := push.NewRegistry(e.registry)
	if err != nil {
		t.Fatalf("NewRegistry: %v", err)
	}
	t.Cleanup(registry.Close)
	daemon, err := docker.New(e.engine.Host())
	if err != nil {
		t.Fatalf("docker.New: %v", err)
	}
	t.Cleanup(func() { _ = daemon.Close() })
	service := pusher.NewService(daemon, registry, registryHost, inForce, slog.New(slog.NewJSONHandler(e.log, nil)))
	t.Cleanup(service.Close)
	return service
}

// serve starts the server and returns its address. The server stops when the test ends.
func (e env) serve(t testing.TB) string {
	t.Helper()
	address, stop := e.startServer(t)
	t.Cleanup(stop)
	return address
}

// startServer starts the server and returns its address. stop stops the server.
func (e env) startServer(t testing.TB) (address string, stop func()) {
	t.Helper()
	security, err := pusher.ServerTLS(e.credentials.CA, e.credentials.ServerCert, e.credentials.ServerKey)
	if err != nil {
		t.Fatalf("ServerTLS: %v", err)
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("Listen: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	log := slog.New(slog.NewJSONHandler(e.log, nil))
	server := pusher.NewServer(e.service, log)
	if e.pruner != nil {
		server.UsePruner(e.pruner)
	}
	go func() { served <- server.Serve(ctx, listener, security) }()
	return listener.Addr().String(), func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve = %v, want nil", err)
		}
	}
}

// client returns a client that authenticates with the client certificate in credentials.
func (e env) client(t *testing.T, credentials pusher.Credentials) *pusher.Client {
	t.Helper()
	security, err := pusher.ClientTLS(e.credentials.CA, credentials.ClientCert, credentials.ClientKey)
	if err != nil {
		t.Fatalf("ClientTLS: %v", err)
	}
	return newClient(t, e.address, security)
}

// both returns the service, and a client for the service's server.
func (e env) both(t *testing.T) map[string]api {
	t.Helper()
	return map[string]api{"in the process": connecting{e.service}, "over the network": e.client(t, e.credentials)}
}

// connecting is a service with the methods of a client.
type connecting struct{ *pusher.Service }

// Events calls connected once the service sends its events to each.
func (c connecting) Events(ctx context.Context, connected func(), each func(pusher.Event)) error {
	return c.EventsFrom(ctx, connected, each)
}

// newClient returns a client that is closed when the test ends.
func newClient(t *testing.T, address string, security *tls.Config) *pusher.Client {
	t.Helper()
	client := pusher.NewClient(address, security)
	t.Cleanup(client.Close)
	return client
}

// newCredentials generates credentials that are valid now.
func newCredentials(t testing.TB) pusher.Credentials {
	t.Helper()
	credentials, err := pusher.NewCredentials(time.Now())
	if err != nil {
		t.Fatalf("NewCredentials: %v", err)
	}
	return credentials
}

// wantRefusal fails the test unless err is a refusal with the given reason and a detail.
func wantRefusal(t *testing.T, err error, want rewrite.Reason) {
	t.Helper()
	refusal, ok := errors.AsType[*rewrite.Refusal](err)
	if !ok || refusal.Reason != want || refusal.Detail == "" {
		t.Errorf("error %v, want a refusal with reason %s and a detail", err, want)
	}
}

// buffer collects what is written to it. It is safe for concurrent use.
type buffer struct {
	mu      sync.Mutex
	content bytes.Buffer
}

// Write appends to the buffer.
func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.content.Write(p)
}

// String returns the contents of the buffer.
func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.content.String()
}
