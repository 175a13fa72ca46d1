package host

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"kind-local-registry/config"
)

// Our containers stand at the top of the kind network's subnets, counted down from the last address, where Docker, which
// deals from the bottom, gives nothing to a node. The very last addresses are left to broadcast and to other tools.
const (
	registryFromTop = 2
	pusherFromTop   = 3
)

// ensureNetwork creates the kind network where it does not exist, as kind would but with its IPv4 subnet spelled out:
// Docker gives fixed addresses only in subnets that a user configured. One that kind made, and that no container uses any
// more, is made anew. It says whether it created it.
func (s *System) ensureNetwork(ctx context.Context) (created bool, err error) {
	seen, err := s.docker.NetworkInspect(ctx, s.network, client.NetworkInspectOptions{})
	if err == nil {
		return s.remakeNetwork(ctx, seen.Network)
	}
	if !errdefs.IsNotFound(err) {
		return false, fmt.Errorf("inspecting Docker network %s: %w", s.network, err)
	}
	subnet, err := s.freeSubnet(ctx)
	if err != nil {
		return false, err
	}
	err = s.createNetwork(ctx, subnet, ulaSubnet(s.network))
	if err != nil { // a host without IPv6 refuses the second subnet; kind then goes without it too
		err = s.createNetwork(ctx, subnet)
	}
	return err == nil, err
}

// remakeNetwork makes a network that kind made anew, with the same subnets, unless a container uses it, be it a stopped one.
func (s *System) remakeNetwork(ctx context.Context, old network.Inspect) (made bool, err error) {
	users, err := s.docker.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: make(client.Filters).Add("network", old.ID)})
	if err != nil {
		return false, fmt.Errorf("listing the containers of Docker network %s: %w", s.network, err)
	}
	if len(users.Items) > 0 || old.Labels[config.Label] != "" {
		return false, nil
	}
	if _, err := s.docker.NetworkRemove(ctx, old.ID, client.NetworkRemoveOptions{}); err != nil {
		return false, fmt.Errorf("removing Docker network %s: %w", s.network, err)
	}
	var subnets []netip.Prefix
	for _, entry := range old.IPAM.Config {
		subnets = append(subnets, entry.Subnet)
	}
	err = s.createNetwork(ctx, subnets...)
	return err == nil, err
}

// freeSubnet asks Docker for an IPv4 subnet from its pools, by making a network and removing it.
func (s *System) freeSubnet(ctx context.Context) (netip.Prefix, error) {
	probe := s.network + "-subnet-probe"
	// An interrupted run may have left one.
	if _, err := s.docker.NetworkRemove(ctx, probe, client.NetworkRemoveOptions{}); err != nil && !errdefs.IsNotFound(err) {
		return netip.Prefix{}, fmt.Errorf("removing Docker network %s: %w", probe, err)
	}
	made, err := s.docker.NetworkCreate(ctx, probe, client.NetworkCreateOptions{Driver: "bridge", Labels: map[string]string{config.Label: "probe"}})
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("finding a free subnet: %w", err)
	}
	seen, err := s.docker.NetworkInspect(ctx, made.ID, client.NetworkInspectOptions{})
	_, removed := s.docker.NetworkRemove(ctx, made.ID, client.NetworkRemoveOptions{})
	if err := errors.Join(err, removed); err != nil {
		return netip.Prefix{}, fmt.Errorf("finding a free subnet: %w", err)
	}
	for _, entry := range seen.Network.IPAM.Config {
		if entry.Subnet.Addr().Is4() {
			return entry.Subnet, nil
		}
	}
	return netip.Prefix{}, errors.New("finding a free subnet: Docker gave none")
}

// createNetwork creates the kind network with the subnets, and with what kind sets on it.
func (s *System) createNetwork(ctx context.Context, subnets ...netip.Prefix) error {
	ipam := &network.IPAM{}
	var ipv6 bool
	for _, subnet := range subnets {
		ipam.Config = append(ipam.Config, network.IPAMConfig{Subnet: subnet})
		ipv6 = ipv6 || subnet.Addr().Is6()
	}
	options := map[string]string{"com.docker.network.bridge.enable_ip_masquerade": "true"}
	const mtu = "com.docker.network.driver.mtu"
	if bridge, err := s.docker.NetworkInspect(ctx, "bridge", client.NetworkInspectOptions{}); err == nil && bridge.Network.Options[mtu] != "" {
		options[mtu] = bridge.Network.Options[mtu]
	}
	_, err := s.docker.NetworkCreate(ctx, s.network, client.NetworkCreateOptions{
		Driver: "bridge", EnableIPv6: &ipv6, IPAM: ipam, Options: options,
		Labels: map[string]string{config.Label: "network"},
	})
	if err != nil {
		return fmt.Errorf("creating Docker network %s: %w", s.network, err)
	}
	return nil
}

// ulaSubnet returns a /64 of unique local addresses (RFC 4193) that depends on the name alone.
func ulaSubnet(name string) netip.Prefix {
	digest := sha256.Sum256([]byte(name))
	address := [16]byte{0: 0xfd}
	copy(address[1:8], digest[:])
	return netip.PrefixFrom(netip.AddrFrom16(address), 64)
}

// removeNetwork removes the network if setup made it and nothing is on it.
func (s *System) removeNetwork(ctx context.Context) error {
	seen, err := s.docker.NetworkInspect(ctx, s.network, client.NetworkInspectOptions{})
	if errdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("inspecting Docker network %s: %w", s.network, err)
	}
	if seen.Network.Labels[config.Label] == "" || len(seen.Network.Containers) > 0 {
		return nil
	}
	if _, err := s.docker.NetworkRemove(ctx, s.network, client.NetworkRemoveOptions{}); err != nil {
		return fmt.Errorf("removing Docker network %s: %w", s.network, err)
	}
	return nil
}

// fixedAddresses returns the addresses, fromTop below the last one, in the network's first IPv4 and IPv6 subnets.
func (s *System) fixedAddresses(ctx context.Context, fromTop int) (*network.EndpointIPAMConfig, error) {
	seen, err := s.docker.NetworkInspect(ctx, s.network, client.NetworkInspectOptions{})
	if err != nil {
		return nil, fmt.Errorf("inspecting Docker network %s: %w", s.network, err)
	}
	fixed := &network.EndpointIPAMConfig{}
	for _, entry := range seen.Network.IPAM.Config {
		address := fromLast(entry.Subnet, fromTop)
		switch {
		case address.Is4() && !fixed.IPv4Address.IsValid():
			fixed.IPv4Address = address
		case address.Is6() && seen.Network.EnableIPv6 && !fixed.IPv6Address.IsValid():
			fixed.IPv6Address = address
		}
	}
	return fixed, nil
}

// fromLast returns the address that stands n below the last address of the subnet.
func fromLast(subnet netip.Prefix, n int) netip.Addr {
	address := subnet.Masked().Addr().AsSlice()
	for bit := subnet.Bits(); bit < len(address)*8; bit++ {
		address[bit/8] |= 0x80 >> (bit % 8)
	}
	low := address[len(address)-4:]
	binary.BigEndian.PutUint32(low, binary.BigEndian.Uint32(low)-uint32(n)) // #nosec G115 -- n is one of two small constants
	last, _ := netip.AddrFromSlice(address)
	return last
}
