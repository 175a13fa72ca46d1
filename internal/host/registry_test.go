package host

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"kind-local-registry/config"
)

// registrySystem returns a system whose Docker daemon runs a registry with those labels, or none if labels is nil, and no
// image. The registry answers too.
func registrySystem(t *testing.T, labels map[string]string) *System {
	t.Helper()
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	address := netip.MustParseAddrPort(server.Listener.Addr().String())
	running := container.InspectResponse{
		Name: "/" + config.RegistryContainer, State: &container.State{Running: true}, Config: &container.Config{Labels: labels},
		HostConfig: &container.HostConfig{PortBindings: network.PortMap{
			network.MustParsePort("5000/tcp"): {{HostIP: loopback, HostPort: strconv.Itoa(int(address.Port()))}},
		}},
		NetworkSettings: &container.NetworkSettings{Networks: map[string]*network.EndpointSettings{config.Network: {}}},
	}
	mux.HandleFunc("GET /v2/", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if labels == nil || !strings.HasSuffix(r.URL.Path, "/containers/"+config.RegistryContainer+"/json") {
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"message":"no such thing"}`))
			return
		}
		_ = json.NewEncoder(w).Encode(running)
	})
	daemon, err := client.New(client.WithHost("tcp://" + address.String()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = daemon.Close() })
	return &System{docker: daemon, network: config.Network, options: Options{RegistryPort: int(address.Port())}}
}

func TestRegistry_ThatIsNotOursIsToldToBeWritable(t *testing.T) {
	t.Parallel()
	adopted := registrySystem(t, map[string]string{})
	state, err := adopted.checkRegistry(t.Context())
	if err != nil || !state.OK || !strings.Contains(state.Detail, "pods may write to it") {
		t.Errorf("of an adopted registry: %+v (error %v), want OK, and that pods may write", state, err)
	}
	labels := map[string]string{config.Label: config.RegistryContainer}
	for chosen, want := range map[string]bool{"registry:2": true, "": false} {
		s := registrySystem(t, labels)
		s.options.RegistryImage = chosen
		p, err := s.registryPiece(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		labels[fingerprintLabel] = p.fingerprint()
		state, err := s.checkRegistry(t.Context())
		if err != nil || !state.OK || strings.Contains(state.Detail, "pods may write to it") != want {
			t.Errorf("of registry image %q: %+v (error %v), want OK, and that pods may write: %t", chosen, state, err, want)
		}
	}
}

func TestPusher_WritesThroughTheSocketOfOurRegistryOnly(t *testing.T) {
	t.Parallel()
	const socket, address = "unix:///run/kind-registry/registry.sock", "http://kind-registry:5000"
	ours := map[string]string{config.Label: config.RegistryContainer}
	for name, test := range map[string]struct {
		labels map[string]string
		image  string
		want   string
	}{
		"none yet":         {nil, "", socket},
		"ours":             {ours, "", socket},
		"adopted":          {map[string]string{}, "", address},
		"of another image": {ours, "registry:2", address},
	} {
		s := registrySystem(t, test.labels)
		s.options.RegistryImage = test.image
		p, err := s.pusherPiece(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(p.Command, test.want) || slices.Contains(p.Mounts, registrySocketMount) != (test.want == socket) {
			t.Errorf("registry %s: the pusher is %v with %v, want it to write to %s", name, p.Command, p.Mounts, test.want)
		}
	}
}
