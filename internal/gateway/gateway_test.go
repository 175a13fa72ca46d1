package gateway

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// kernel4 returns an IPv4 address in the form used in /proc/net/route.
func kernel4(address string) string {
	bytes := netip.MustParseAddr(address).As4()
	return fmt.Sprintf("%08X", binary.NativeEndian.Uint32(bytes[:]))
}

func TestAddresses_ReturnsDefaultGateways(t *testing.T) {
	t.Parallel()
	const none6, gateway6 = "00000000000000000000000000000000", "fc000000000000000000000000000001"
	files := map[string]string{
		"route": "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n" +
			"eth0\t00000000\t" + kernel4("172.18.0.1") + "\t0003\t0\t0\t0\t00000000\t0\t0\t0\n" +
			"eth0\t" + kernel4("172.18.0.0") + "\t00000000\t0001\t0\t0\t0\t" + kernel4("255.255.0.0") + "\t0\t0\t0\n" +
			"eth1\t" + kernel4("10.0.0.0") + "\t" + kernel4("172.19.0.1") + "\t0003\t0\t0\t0\t" + kernel4("255.0.0.0") + "\t0\t0\t0\n" +
			"eth2\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0\nshort\n",
		"ipv6_route": none6 + " 00 " + none6 + " 00 " + gateway6 + " 00000400 00000001 00000000 00000003     eth0\n" +
			none6 + " 00 " + none6 + " 00 " + none6 + " ffffffff 00000001 00000000 00200200       lo\n" +
			"fc000000000000000000000000000000 40 " + none6 + " 00 " + none6 + " 00000100 00000001 00000000 00000001     eth0\n",
	}
	directory := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(directory, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want := []netip.Addr{netip.MustParseAddr("172.18.0.1"), netip.MustParseAddr("fc00::1")}
	if diff := cmp.Diff(want, addresses(directory), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
	if got := addresses(t.TempDir()); len(got) != 0 {
		t.Errorf("addresses without routes = %v, want none", got)
	}
}
