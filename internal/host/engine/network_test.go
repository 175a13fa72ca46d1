package engine

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/network"

	"kind-local-registry/config"
)

func TestFromLast_CountsDownFromLastAddress(t *testing.T) {
	t.Parallel()
	for subnet, want := range map[string]string{
		"172.18.0.0/16":           "172.18.255.253",
		"192.168.5.0/24":          "192.168.5.253",
		"10.0.0.64/26":            "10.0.0.125",
		"fc00:f853:ccd:e793::/64": "fc00:f853:ccd:e793:ffff:ffff:ffff:fffd",
	} {
		if got := fromLast(netip.MustParsePrefix(subnet), 2); got != netip.MustParseAddr(want) {
			t.Errorf("fromLast(%s, 2) = %s, want %s", subnet, got, want)
		}
	}
}

func TestULASubnet_DependsOnNameOnly(t *testing.T) {
	t.Parallel()
	a, b := ulaSubnet("kind"), ulaSubnet("other")
	if a == b || a != ulaSubnet("kind") {
		t.Errorf("ulaSubnet(kind) = %s, ulaSubnet(other) = %s", a, b)
	}
	if !a.Addr().IsPrivate() || a.Bits() != 64 || a != a.Masked() {
		t.Errorf("%s is not a /64 subnet of unique local addresses", a)
	}
}

func TestNetwork_EnsureConfiguresItsSubnets(t *testing.T) {
	t.Parallel()
	docker, daemon := open(t)
	daemon.Networks["bridge"].Options = map[string]string{"com.docker.network.driver.mtu": "1400"}
	delete(daemon.Networks, "kind")
	created, err := docker.Network.Ensure(t.Context())
	if err != nil || !created {
		t.Fatalf("Ensure = %t, %v", created, err)
	}
	got := daemon.Networks["kind"]
	if len(daemon.Networks) != 2 || got.Labels[config.Label] == "" || !got.EnableIPv6 || got.Options["com.docker.network.driver.mtu"] != "1400" {
		t.Errorf("networks %v, kind is %+v", daemon.Networks, got)
	}
	if subnets := got.IPAM.Config; len(subnets) != 2 || subnets[0].Subnet.String() != "172.30.0.0/16" || subnets[1].Subnet != ulaSubnet("kind") {
		t.Errorf("subnets %+v, want one that Docker chose and a local one", got.IPAM.Config)
	}
	if created, err := docker.Network.Ensure(t.Context()); created || err != nil {
		t.Errorf("a second Ensure = %t, %v", created, err)
	}
}

func TestNetwork_EnsureRecreatesOnlyAnUnusedNetworkOfKind(t *testing.T) {
	t.Parallel()
	docker, daemon := open(t)
	node := daemon.AddContainer("node", nil)
	if created, err := docker.Network.Ensure(t.Context()); created || err != nil {
		t.Errorf("Ensure with a container = %t, %v", created, err)
	}
	delete(node.NetworkSettings.Networks, "kind")
	if created, err := docker.Network.Ensure(t.Context()); !created || err != nil {
		t.Errorf("Ensure of an unused network = %t, %v", created, err)
	}
	want := netip.MustParsePrefix("172.18.0.0/16")
	if got := daemon.Networks["kind"]; got.Labels[config.Label] == "" || got.EnableIPv6 || got.IPAM.Config[0].Subnet != want {
		t.Errorf("the network is %+v, want the same subnet %s", got, want)
	}
}

func TestNetwork_EnsureWorksWithoutIPv6(t *testing.T) {
	t.Parallel()
	docker, daemon := open(t)
	delete(daemon.Networks, "kind")
	daemon.Refuse = func(_, path string, body []byte) (int, string) {
		if path == "/networks/create" && strings.Contains(string(body), "fd") {
			return http.StatusInternalServerError, "IPv6 is disabled"
		}
		return 0, ""
	}
	if created, err := docker.Network.Ensure(t.Context()); err != nil || !created || len(daemon.Networks["kind"].IPAM.Config) != 1 {
		t.Errorf("Ensure = %t, %v with %+v", created, err, daemon.Networks["kind"])
	}
}

func TestNetwork_RemoveKeepsForeignAndUsedNetworks(t *testing.T) {
	t.Parallel()
	docker, daemon := open(t)
	remove := func(kept bool) {
		t.Helper()
		if err := docker.Network.Remove(t.Context()); err != nil || (daemon.Networks["kind"] != nil) != kept {
			t.Errorf("Remove = %v, networks %v; want it kept: %t", err, daemon.Networks, kept)
		}
	}
	remove(true)
	daemon.Networks["kind"].Labels = map[string]string{config.Label: "network"}
	daemon.Networks["kind"].Containers = map[string]network.EndpointResource{"node": {}}
	remove(true)
	daemon.Networks["kind"].Containers = nil
	remove(false)
	remove(false)
}

func TestNetwork_ConnectFallsBackToAnyAddress(t *testing.T) {
	t.Parallel()
	docker, daemon := open(t)
	for _, test := range []struct {
		labels map[string]string
		want   string
	}{{nil, "172.18.0.9"}, {map[string]string{config.Label: "network"}, "172.18.255.253"}} {
		daemon.Networks["kind"].Labels = test.labels
		added := daemon.AddContainer("registry", nil)
		delete(added.NetworkSettings.Networks, "kind")
		if err := docker.Network.Connect(t.Context(), "registry", 2); err != nil {
			t.Fatal(err)
		}
		if got := added.NetworkSettings.Networks["kind"].IPAddress.String(); got != test.want {
			t.Errorf("address %s, want %s", got, test.want)
		}
	}
	if err := docker.Network.Connect(t.Context(), "none", 2); err == nil || !strings.Contains(err.Error(), "connecting container none to network kind") {
		t.Errorf("Connect of a missing container = %v", err)
	}
}
