package service

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"kind-local-registry/config"
)

func TestRegistry_InspectRecognizesAPausedContainer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	registry := w.openRegistry(t, "")
	registry.mustApply(t)
	if state, err := registry.Inspect(t.Context()); err != nil || !state.OK {
		t.Errorf("Inspect = %+v, %v; want OK", state, err)
	}
	w.daemon.Containers[config.RegistryContainer].State = &container.State{Running: true, Paused: true, Status: container.StatePaused}
	state, err := registry.Inspect(t.Context())
	if err != nil || state.OK || state.Detail != "container kind-registry is paused" || state.Remedy != "run docker unpause kind-registry" {
		t.Errorf("Inspect of a paused container = %+v, %v", state, err)
	}
}

func TestRegistry_CheckLocalhostFindsAnotherProgramOnIPv6(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	registry := w.openRegistry(t, "")
	registry.mustApply(t)
	addresses, err := net.DefaultResolver.LookupHost(t.Context(), "localhost")
	if err != nil || !strings.Contains(strings.Join(addresses, " "), "::1") {
		t.Skipf("SKIP: localhost is %q here (%v), not ::1", addresses, err)
	}
	if state, err := registry.CheckLocalhost(t.Context()); err != nil || !state.OK {
		t.Errorf("CheckLocalhost = %+v, %v; want OK", state, err)
	}
	port := strconv.Itoa(w.port)
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", net.JoinHostPort("::1", port))
	if err != nil {
		t.Skipf("SKIP: %v", err)
	}
	defer func() { _ = listener.Close() }()
	state, err := registry.CheckLocalhost(t.Context())
	if err != nil || state.OK || !strings.Contains(state.Detail, "[::1]:"+port) {
		t.Errorf("CheckLocalhost = %+v, %v; want it to name the other program's address", state, err)
	}
	w.daemon.Containers[config.RegistryContainer].NetworkSettings.Ports = network.PortMap{
		network.MustParsePort("5000/tcp"): {{HostIP: netip.IPv6Unspecified(), HostPort: port}},
	}
	if state, err := registry.CheckLocalhost(t.Context()); err != nil || !state.OK {
		t.Errorf("CheckLocalhost of a registry that listens on IPv6 too = %+v, %v; want OK", state, err)
	}
}

func TestRegistry_URLFromPodsHasTheirIPFamily(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	registry := w.openRegistry(t, "")
	registry.mustApply(t)
	endpoint := w.daemon.Containers[config.RegistryContainer].NetworkSettings.Networks["kind"]
	endpoint.IPAddress = netip.MustParseAddr("172.18.0.9")
	if url, err := registry.URLFromPods(t.Context(), false); err != nil || url != "http://172.18.0.9:5000/v2/" {
		t.Errorf("URLFromPods = %q, %v", url, err)
	}
	if url, err := registry.URLFromPods(t.Context(), true); err == nil {
		t.Errorf("URLFromPods = %q without an IPv6 address, want an error", url)
	}
	endpoint.GlobalIPv6Address = netip.MustParseAddr("fd00::9")
	if url, err := registry.URLFromPods(t.Context(), true); err != nil || url != "http://[fd00::9]:5000/v2/" {
		t.Errorf("URLFromPods = %q, %v", url, err)
	}
}

func TestRegistry_OursIsFalseForAnAdoptedContainer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.adopted()
	registry := w.openRegistry(t, "")
	for container, want := range map[string]bool{config.RegistryContainer: false, config.PusherContainer: true} {
		if got, err := registry.Ours(t.Context(), container); err != nil || got != want {
			t.Errorf("Ours(%s) = %t, %v; want %t", container, got, err, want)
		}
	}
}
