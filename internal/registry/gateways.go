package registry

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// gateways returns the current addresses of the default gateways. They are not cached: a container can be connected to
// another network at any time. directory is /proc/net. Without a default route the result is empty.
func gateways(directory string) []netip.Addr {
	return append(gateways4(fields(filepath.Join(directory, "route"))), gateways6(fields(filepath.Join(directory, "ipv6_route")))...)
}

// usesGateway is the kernel's RTF_GATEWAY: the route goes through a gateway.
const usesGateway = 0x2

// gateways4 returns the default gateways in the lines of /proc/net/route: interface, destination, gateway, flags, three
// counters, mask. Addresses are in the byte order of the machine.
func gateways4(routes [][]string) []netip.Addr {
	var found []netip.Addr
	for _, route := range routes {
		if len(route) < 8 || route[1] != "00000000" || route[7] != "00000000" || !flagged(route[3]) {
			continue
		}
		number, err := strconv.ParseUint(route[2], 16, 32)
		if err != nil {
			continue
		}
		var address [4]byte
		binary.NativeEndian.PutUint32(address[:], uint32(number))
		found = append(found, netip.AddrFrom4(address))
	}
	return found
}

// gateways6 returns the default gateways in the lines of /proc/net/ipv6_route: destination and its length, source and its
// length, gateway, metric, two counters, flags, interface.
func gateways6(routes [][]string) []netip.Addr {
	var found []netip.Addr
	for _, route := range routes {
		if len(route) < 9 || route[1] != "00" || route[3] != "00" || !flagged(route[8]) {
			continue
		}
		address, err := hex.DecodeString(route[4])
		if gateway, ok := netip.AddrFromSlice(address); err == nil && ok && !gateway.IsUnspecified() {
			found = append(found, gateway)
		}
	}
	return found
}

// flagged reports whether a route's flags, in hexadecimal, include usesGateway.
func flagged(flags string) bool {
	number, err := strconv.ParseUint(flags, 16, 32)
	return err == nil && number&usesGateway != 0
}

// fields returns the fields of each line of a file, and nil if it cannot be read, as on a kernel without IPv6.
func fields(name string) [][]string {
	content, err := os.ReadFile(name) // #nosec G304 -- a file of /proc/net
	if err != nil {
		return nil
	}
	var lines [][]string
	for line := range strings.Lines(string(content)) {
		lines = append(lines, strings.Fields(line))
	}
	return lines
}
