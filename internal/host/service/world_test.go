package service

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/moby/moby/api/types/network"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/engine"
	"kind-local-registry/internal/host/engine/enginetest"
	"kind-local-registry/internal/host/step"
)

// world is a fake host with a Docker daemon and a port at which a registry answers.
type world struct {
	daemon *enginetest.Daemon
	engine *engine.Engine
	port   int
	server *httptest.Server
	others []string // the other kind clusters that use the registry
}

// newWorld returns a host whose Docker daemon has no containers, only the images that setup carries.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{daemon: enginetest.New(t)}
	w.daemon.AddImage(RegistryImage(), "sha256:registry")
	w.daemon.AddImage(WebhookImage(), "sha256:webhook")
	w.server = httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(w.server.Close)
	w.port = w.server.Listener.Addr().(*net.TCPAddr).Port
	var err error
	if w.engine, err = engine.OpenAt(t.Context(), w.daemon.Host()); err != nil {
		t.Fatal(err)
	}
	return w
}

// openRegistry opens the registry with the image that the user chose; "" means none.
func (w *world) openRegistry(t *testing.T, image string) *Registry {
	t.Helper()
	registry, err := OpenRegistry(t.Context(), w.engine, RegistryOptions{Image: image, Port: w.port}, func(context.Context, string) ([]string, error) {
		return w.others, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return registry
}

// openPusher opens the pusher for a registry whose image the user did not choose.
func (w *world) openPusher(t *testing.T, rules Rules) *Pusher {
	t.Helper()
	pusher, err := OpenPusher(t.Context(), w.openRegistry(t, ""), PusherOptions{Rules: rules})
	if err != nil {
		t.Fatal(err)
	}
	return pusher
}

// adopted adds a registry that another tool created.
func (w *world) adopted() *enginetest.Container {
	added := w.daemon.AddContainer(config.RegistryContainer, map[string]string{})
	added.HostConfig.PortBindings = network.PortMap{
		network.MustParsePort("5000/tcp"): {{HostIP: netip.MustParseAddr("127.0.0.1"), HostPort: w.server.Listener.Addr().String()[len("127.0.0.1:"):]}},
	}
	return added
}

// mustApply applies the registry's step and returns its state, which must be OK.
func (r *Registry) mustApply(t *testing.T) step.State { t.Helper(); return mustApply(t, r.Step()) }

// mustApply applies the pusher's step. Its state must then be OK.
func (p *Pusher) mustApply(t *testing.T) { t.Helper(); mustApply(t, p.Step()) }

// mustApply applies a step and returns its state, which must be OK.
func mustApply(t *testing.T, s step.Step) step.State {
	t.Helper()
	if err := s.Apply(t.Context(), func(string) {}); err != nil {
		t.Fatal(err)
	}
	state, err := s.Check(t.Context())
	if err != nil || !state.OK {
		t.Errorf("%s after Apply: %+v, %v", s.Name, state, err)
	}
	return state
}
