package service

import (
	"net"
	"net/netip"
	"strconv"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"kind-local-registry/config"
)

func TestRegistry_CheckRecognizesAPausedContainer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	registry := w.openRegistry(t, "")
	registry.mustApply(t)
	if state, err := registry.check(t.Context()); err != nil || !state.OK {
		t.Errorf("check = %+v, %v; want OK", state, err)
	}
	w.daemon.Containers[config.RegistryContainer].State = &container.State{Running: true, Paused: true, Status: container.StatePaused}
	state, err := registry.check(t.Context())
	if err != nil || state.OK || state.Detail != "container kind-registry is paused" || state.Advice() != "run setup up" {
		t.Errorf("check of a paused container = %+v, %v", state, err)
	}
}

func TestRegistry_CheckLocalhostFindsAnotherProgramOnIPv6(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	registry := w.openRegistry(t, "")
	registry.mustApply(t)
	want := func(ok bool, addresses ...string) {
		t.Helper()
		if state, err := registry.checkLocalhost(t.Context(), addresses); err != nil || state.OK != ok || (state.Remedy == "") != ok {
			t.Errorf("checkLocalhost(%q) = %+v, %v; want OK %t, and a remedy if it is not OK", addresses, state, err, ok)
		}
	}
	want(true, "127.0.0.1")
	want(true, "::1", "127.0.0.1")
	want(false, "::1")
	want(false)

	port := strconv.Itoa(w.port)
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", net.JoinHostPort("::1", port))
	if err != nil {
		t.Skipf("SKIP: %v", err)
	}
	defer func() { _ = listener.Close() }()
	want(true, "127.0.0.1")
	want(false, "::1", "127.0.0.1")
	w.daemon.Containers[config.RegistryContainer].NetworkSettings.Ports = network.PortMap{ // the registry listens there itself
		network.MustParsePort("5000/tcp"): {{HostIP: netip.IPv6Unspecified(), HostPort: port}},
	}
	want(true, "::1", "127.0.0.1")
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
