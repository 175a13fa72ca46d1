// Package gateway returns the addresses of the default gateways. In a container, they are the addresses from which requests of the
// host arrive, through the proxy for published ports.
package gateway

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Addresses returns the current addresses of the default gateways. They are not cached, because a container can be connected to
// another network at any time. The result is empty if there is no default route.
func Addresses() []netip.Addr { return addresses("/proc/net") }

// addresses is like Addresses, but reads the routes from another directory.
func addresses(directory string) []netip.Addr {
	return append(gateways4(fields(filepath.Join(directory, "route"))), gateways6(fields(filepath.Join(directory, "ipv6_route")))...)
}

// usesGateway is the kernel's flag RTF_GATEWAY, which is set if a route goes through a gateway.
const usesGateway = 0x2

// gateways4 returns the default gateways in routes, the lines of /proc/net/route. A line contains the interface, destination,
// gateway, flags, three counters and the mask. Addresses are in the machine's byte order.
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

// gateways6 returns the default gateways in routes, the lines of /proc/net/ipv6_route. A line contains the destination and its
// length, the source and its length, the gateway, metric, two counters, the flags and the interface.
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

// flagged reports whether a route's flags, which are hexadecimal, include usesGateway.
func flagged(flags string) bool {
	number, err := strconv.ParseUint(flags, 16, 32)
	return err == nil && number&usesGateway != 0
}

// fields returns the fields of each line in a file. It returns nil if the file cannot be read, for example on a kernel without
// IPv6.
func fields(name string) [][]string {
	content, err := os.ReadFile(name) // #nosec G304 -- a file in /proc/net
	if err != nil {
		return nil
	}
	var lines [][]string
	for line := range strings.Lines(string(content)) {
		lines = append(lines, strings.Fields(line))
	}
	return lines
}
