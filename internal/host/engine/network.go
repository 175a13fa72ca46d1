package engine

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

// Network is the Docker network that the kind nodes and setup's containers share.
type Network struct {
	// Name is the network's name.
	Name string

	client *client.Client
}

// Ensure creates the network with kind's settings, unless it exists. Unlike kind, it configures the IPv4 subnet, because Docker
// assigns fixed addresses only in configured subnets. If kind created the network and no container uses it, Ensure recreates it.
// created reports whether Ensure created or recreated the network.
func (n *Network) Ensure(ctx context.Context) (created bool, err error) {
	seen, err := n.client.NetworkInspect(ctx, n.Name, client.NetworkInspectOptions{})
	if err == nil {
		return n.recreate(ctx, seen.Network)
	}
	if !errdefs.IsNotFound(err) {
		return false, fmt.Errorf("inspecting Docker network %s: %w", n.Name, err)
	}
	subnet, err := n.freeSubnet(ctx)
	if err != nil {
		return false, err
	}
	err = n.create(ctx, subnet, ulaSubnet(n.Name))
	if err != nil { // a host without IPv6 rejects the second subnet; kind omits it in this case, too
		err = n.create(ctx, subnet)
	}
	return err == nil, err
}

// recreate recreates a network that kind created, with the same subnets, unless a running or stopped container uses it.
func (n *Network) recreate(ctx context.Context, old network.Inspect) (created bool, err error) {
	users, err := n.client.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: make(client.Filters).Add("network", old.ID)})
	if err != nil {
		return false, fmt.Errorf("listing the containers of Docker network %s: %w", n.Name, err)
	}
	if len(users.Items) > 0 || old.Labels[config.Label] != "" {
		return false, nil
	}
	if _, err := n.client.NetworkRemove(ctx, old.ID, client.NetworkRemoveOptions{}); err != nil {
		return false, fmt.Errorf("removing Docker network %s: %w", n.Name, err)
	}
	var subnets []netip.Prefix
	for _, entry := range old.IPAM.Config {
		subnets = append(subnets, entry.Subnet)
	}
	err = n.create(ctx, subnets...)
	return err == nil, err
}

// freeSubnet returns a free IPv4 subnet from Docker's pools. Docker assigns subnets only to networks, so freeSubnet creates a
// network and removes it again.
func (n *Network) freeSubnet(ctx context.Context) (netip.Prefix, error) {
	probe := n.Name + "-subnet-probe"
	// An interrupted run may have left the network behind.
	if _, err := n.client.NetworkRemove(ctx, probe, client.NetworkRemoveOptions{}); err != nil && !errdefs.IsNotFound(err) {
		return netip.Prefix{}, fmt.Errorf("removing Docker network %s: %w", probe, err)
	}
	created, err := n.client.NetworkCreate(ctx, probe, client.NetworkCreateOptions{Driver: "bridge", Labels: map[string]string{config.Label: "probe"}})
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("finding a free subnet: %w", err)
	}
	seen, err := n.client.NetworkInspect(ctx, created.ID, client.NetworkInspectOptions{})
	_, removed := n.client.NetworkRemove(ctx, created.ID, client.NetworkRemoveOptions{})
	if err := errors.Join(err, removed); err != nil {
		return netip.Prefix{}, fmt.Errorf("finding a free subnet: %w", err)
	}
	for _, entry := range seen.Network.IPAM.Config {
		if entry.Subnet.Addr().Is4() {
			return entry.Subnet, nil
		}
	}
	return netip.Prefix{}, errors.New("finding a free subnet: Docker assigned no IPv4 subnet")
}

// create creates the network with the subnets and kind's options.
func (n *Network) create(ctx context.Context, subnets ...netip.Prefix) error {
	ipam := &network.IPAM{}
	var ipv6 bool
	for _, subnet := range subnets {
		ipam.Config = append(ipam.Config, network.IPAMConfig{Subnet: subnet})
		ipv6 = ipv6 || subnet.Addr().Is6()
	}
	options := map[string]string{"com.docker.network.bridge.enable_ip_masquerade": "true"}
	const mtu = "com.docker.network.driver.mtu"
	if bridge, err := n.client.NetworkInspect(ctx, "bridge", client.NetworkInspectOptions{}); err == nil && bridge.Network.Options[mtu] != "" {
		options[mtu] = bridge.Network.Options[mtu]
	}
	_, err := n.client.NetworkCreate(ctx, n.Name, client.NetworkCreateOptions{
		Driver: "bridge", EnableIPv6: &ipv6, IPAM: ipam, Options: options,
		Labels: map[string]string{config.Label: "network"},
	})
	if err != nil {
		return fmt.Errorf("creating Docker network %s: %w", n.Name, err)
	}
	return nil
}

// ulaSubnet returns a /64 subnet of unique local addresses (RFC 4193) that depends only on the name.
func ulaSubnet(name string) netip.Prefix {
	digest := sha256.Sum256([]byte(name))
	address := [16]byte{0: 0xfd}
	copy(address[1:8], digest[:])
	return netip.PrefixFrom(netip.AddrFrom16(address), 64)
}

// Ours reports whether setup created the network. It returns false if there is no network.
func (n *Network) Ours(ctx context.Context) (bool, error) {
	seen, err := n.client.NetworkInspect(ctx, n.Name, client.NetworkInspectOptions{})
	if err != nil && !errdefs.IsNotFound(err) {
		return false, fmt.Errorf("inspecting Docker network %s: %w", n.Name, err)
	}
	return err == nil && seen.Network.Labels[config.Label] != "", nil
}

// Remove removes the network if setup created it and no container is connected to it.
func (n *Network) Remove(ctx context.Context) error {
	seen, err := n.client.NetworkInspect(ctx, n.Name, client.NetworkInspectOptions{})
	if errdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("inspecting Docker network %s: %w", n.Name, err)
	}
	if seen.Network.Labels[config.Label] == "" || len(seen.Network.Containers) > 0 {
		return nil
	}
	return n.Delete(ctx)
}

// Delete deletes the network.
func (n *Network) Delete(ctx context.Context) error {
	if _, err := n.client.NetworkRemove(ctx, n.Name, client.NetworkRemoveOptions{}); err != nil {
		return fmt.Errorf("removing Docker network %s: %w", n.Name, err)
	}
	return nil
}

// Connect connects a container to the network, and marks the connection, so that Disconnect recognises it. If Docker assigns fixed
// addresses on the network, the container's address is the subnet's last address minus fromTop.
func (n *Network) Connect(ctx context.Context, container string, fromTop int) error {
	fixed, err := n.fixedAddresses(ctx, fromTop)
	if err != nil {
		return err
	}
	for _, addresses := range []*network.EndpointIPAMConfig{fixed, nil} {
		_, err = n.client.NetworkConnect(ctx, n.Name, client.NetworkConnectOptions{
			Container: container, EndpointConfig: &network.EndpointSettings{
				IPAMConfig: addresses, DriverOpts: map[string]string{config.Label: "connected"},
			},
		})
		if err == nil {
			return nil
		}
	}
	return fmt.Errorf("connecting container %s to network %s: %w", container, n.Name, err)
}

// Disconnect disconnects a container from the network.
func (n *Network) Disconnect(ctx context.Context, container string) error {
	_, err := n.client.NetworkDisconnect(ctx, n.Name, client.NetworkDisconnectOptions{Container: container})
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("disconnecting container %s from network %s: %w", container, n.Name, err)
	}
	return nil
}

// fixedAddresses returns the last addresses of the network's first IPv4 and IPv6 subnets, minus fromTop.
func (n *Network) fixedAddresses(ctx context.Context, fromTop int) (*network.EndpointIPAMConfig, error) {
	seen, err := n.client.NetworkInspect(ctx, n.Name, client.NetworkInspectOptions{})
	if err != nil {
		return nil, fmt.Errorf("inspecting Docker network %s: %w", n.Name, err)
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

// fromLast returns the subnet's last address minus n.
func fromLast(subnet netip.Prefix, n int) netip.Addr {
	address := subnet.Masked().Addr().AsSlice()
	for bit := subnet.Bits(); bit < len(address)*8; bit++ {
		address[bit/8] |= 0x80 >> (bit % 8)
	}
	low := address[len(address)-4:]
	binary.BigEndian.PutUint32(low, binary.BigEndian.Uint32(low)-uint32(n)) // #nosec G115 -- n is a small constant
	last, _ := netip.AddrFromSlice(address)
	return last
}
