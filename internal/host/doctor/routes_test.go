package doctor

import (
	"net/netip"
	"testing"

	"kind-local-registry/internal/host/cluster"
)

func TestMisrouted_NamesTheNodeThatIsNotTheGateway(t *testing.T) {
	t.Parallel()
	subnets := []netip.Prefix{netip.MustParsePrefix("10.244.1.0/24"), netip.MustParsePrefix("fd00:10:244:1::/64")}
	addresses := []netip.Addr{netip.MustParseAddr("172.18.0.2"), netip.MustParseAddr("fc00::2")}
	networks := []cluster.PodNetwork{
		{Node: "a", Subnets: []netip.Prefix{netip.MustParsePrefix("10.244.0.0/24")}, Addresses: []netip.Addr{netip.MustParseAddr("172.18.0.3")}},
		{Node: "b", Subnets: subnets, Addresses: addresses},
	}
	for name, test := range map[string]struct {
		ipv4, ipv6 string
		want       string
	}{
		"right":                  {ipv4: "172.18.0.2", ipv6: "fc00::2"},
		"exchanged":              {ipv4: "172.18.0.3", ipv6: "fc00::2", want: "node a sends packets for the pods on b to 172.18.0.3, but that node is at 172.18.0.2, fc00::2"},
		"exchanged in IPv6 only": {ipv4: "172.18.0.2", ipv6: "fc00::3", want: "node a sends packets for the pods on b to fc00::3, but that node is at 172.18.0.2, fc00::2"},
		"no IPv6":                {ipv4: "172.18.0.2", want: "node a has no route to the pods on b (fd00:10:244:1::/64)"},
		"no route yet":           {want: "node a has no route to the pods on b (10.244.1.0/24)"},
	} {
		gateways := map[netip.Prefix]netip.Addr{}
		for i, text := range []string{test.ipv4, test.ipv6} {
			if gateway, err := netip.ParseAddr(text); err == nil {
				gateways[subnets[i]] = gateway
			}
		}
		if got := misrouted("a", gateways, networks); got != test.want {
			t.Errorf("%s: misrouted = %q, want %q", name, got, test.want)
		}
	}
}
