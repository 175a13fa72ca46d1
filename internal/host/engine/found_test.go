package engine

import (
	"net/netip"
	"testing"

	"github.com/moby/moby/api/types/network"
)

func TestFound_ReadsLabelsPortsAndVariables(t *testing.T) {
	t.Parallel()
	docker, _ := open(t)
	c := pusher()
	c.Chosen, c.Env, c.ContainerPort, c.HostPort = "registry:2", []string{"A=1=2", "B="}, 5000, 5001
	if err := docker.Run(t.Context(), c, nil); err != nil {
		t.Fatal(err)
	}
	found, err := docker.Find(t.Context(), "pusher")
	if err != nil {
		t.Fatal(err)
	}
	if !found.Ours() || !found.Running() || found.ChosenImage() != "registry:2" || found.HostPort() != 5001 {
		t.Errorf("ours %t, running %t, image %q, port %d", found.Ours(), found.Running(), found.ChosenImage(), found.HostPort())
	}
	for name, want := range map[string]string{"A": "1=2", "B": "", "C": ""} {
		if got := found.Variable(name); got != want {
			t.Errorf("Variable(%s) = %q, want %q", name, got, want)
		}
	}
}

func TestFound_AcceptsForeignContainers(t *testing.T) {
	t.Parallel()
	docker, daemon := open(t)
	if got := new(Found).Variable("A"); got != "" || new(Found).Ours() {
		t.Errorf("Variable = %q for a container without settings, want none", got)
	}
	foreign := daemon.AddContainer("foreign", nil)
	if other, err := docker.Find(t.Context(), foreign.ID); err != nil || other.Ours() || other.HostPort() != 0 {
		t.Errorf("a foreign container: %+v, %v", other, err)
	}
}

func TestAddress_PrefersIPv4(t *testing.T) {
	t.Parallel()
	ipv4, ipv6 := netip.MustParseAddr("172.18.255.253"), netip.MustParseAddr("fc00::fffd")
	for want, endpoint := range map[string]network.EndpointSettings{
		"172.18.255.253": {IPAddress: ipv4, GlobalIPv6Address: ipv6},
		"fc00::fffd":     {GlobalIPv6Address: ipv6},
		"":               {},
	} {
		if got := Address(&endpoint); got != want {
			t.Errorf("Address(%+v) = %q, want %q", endpoint, got, want)
		}
	}
}
