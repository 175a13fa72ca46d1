//go:build daemon

package daemon

import (
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"kind-local-registry/config"
	"kind-local-registry/internal/host"
	"kind-local-registry/internal/host/step"
	"kind-local-registry/test/dockerd"
)

func TestDown_DisconnectsARegistryThatUpConnected(t *testing.T) {
	archive := ownImages(t)
	for _, store := range []dockerd.Store{dockerd.Overlay2, dockerd.Containerd} {
		t.Run(string(store), func(t *testing.T) {
			h := newHost(t, archive, store, nil)
			h.addForeignRegistry(t)
			before := h.networks(t, config.RegistryContainer)
			changes, err := step.Foreign(t.Context(), h.steps(t))
			if err != nil || len(changes) != 2 || changes[0].Action != step.Start || changes[1].Action != step.Connect {
				t.Errorf("Foreign = %+v, %v, want that the registry is started and connected", changes, err)
			}
			h.up(t)
			if got := h.networks(t, config.RegistryContainer); !slices.Contains(got, config.Network) {
				t.Errorf("networks after up = %q, want %s among them", got, config.Network)
			}
			down, _, err := h.open(t).PlanDown(t.Context(), host.DownOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if err := step.Down(t.Context(), down, silent{}); err != nil {
				t.Errorf("setup down: %v", err)
			}
			if got := h.networks(t, config.RegistryContainer); !slices.Equal(got, before) {
				t.Errorf("networks after down = %q, want %q as before", got, before)
			}
		})
	}
}

// addForeignRegistry creates, but does not start, a registry that setup did not create.
func (h *setupHost) addForeignRegistry(t *testing.T) {
	t.Helper()
	inside := network.MustParsePort("5000/tcp")
	_, err := h.API.ContainerCreate(t.Context(), client.ContainerCreateOptions{
		Name: config.RegistryContainer,
		Config: &container.Config{
			Image: config.RegistryImage + ":" + config.Version, ExposedPorts: network.PortSet{inside: {}},
		},
		HostConfig: &container.HostConfig{
			Binds: []string{"foreign:/var/lib/registry"},
			PortBindings: network.PortMap{
				inside: {{HostIP: netip.MustParseAddr("127.0.0.1"), HostPort: strconv.Itoa(h.port)}},
			},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// networks returns the sorted names of the container's networks.
func (h *setupHost) networks(t *testing.T, name string) []string {
	t.Helper()
	found, err := h.API.ContainerInspect(t.Context(), name, client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return slices.Sorted(maps.Keys(found.Container.NetworkSettings.Networks))
}
