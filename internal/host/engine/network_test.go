package engine

import (
	"net/netip"
	"testing"
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
		t.Errorf("%s is no /64 of unique local addresses", a)
	}
}
