package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ErrForeignHosts means that another tool wrote the node's hosts.toml.
var ErrForeignHosts = errors.New("another tool wrote hosts.toml")

// CheckHosts describes what is wrong with the node's hosts.toml, or returns "".
func (n Node) CheckHosts(ctx context.Context, registryHost string) (wrong string, err error) {
	file := HostsFile(registryHost)
	content, err := n.read(ctx, file)
	if err != nil {
		return fmt.Sprintf("node %s is not running, or its files cannot be read", n.Name), nil //nolint:nilerr // a state, not a failure
	}
	if content != Hosts() {
		return fmt.Sprintf("node %s does not have our %s", n.Name, file), nil
	}
	return "", nil
}

// CheckCertsDir describes why containerd on the node does not read CertsDir, or returns "".
func (n Node) CheckCertsDir(ctx context.Context) (wrong string, err error) {
	reads, err := n.readsCertsDir(ctx)
	if err != nil {
		return "", n.remedy(err)
	}
	if !reads {
		return fmt.Sprintf("containerd on node %s does not read %s", n.Name, CertsDir), nil
	}
	return "", nil
}

// HasForeignHosts reports whether another tool wrote the node's hosts.toml.
func (n Node) HasForeignHosts(ctx context.Context, registryHost string) (bool, error) {
	content, err := n.read(ctx, HostsFile(registryHost))
	return content != "" && Foreign(content), err
}

// WriteHosts writes the node's hosts.toml, which containerd reads at each pull. The error is ErrForeignHosts if another tool wrote
// the file that exists.
func (n Node) WriteHosts(ctx context.Context, registryHost string) error {
	foreign, err := n.HasForeignHosts(ctx, registryHost)
	if err != nil {
		return err
	}
	if foreign {
		return fmt.Errorf("%w on node %s", ErrForeignHosts, n.Name)
	}
	return n.write(ctx, HostsFile(registryHost), Hosts(), false)
}

// Resolve returns the addresses to which a name resolves on the node. It returns none if the name does not resolve.
func (n Node) Resolve(ctx context.Context, name string) ([]string, error) {
	printed, err := n.Run(ctx, resolveScript, name)
	if err != nil {
		return nil, err
	}
	var addresses []string
	for line := range strings.Lines(string(printed)) {
		if fields := strings.Fields(line); len(fields) > 0 && !slices.Contains(addresses, fields[0]) {
			addresses = append(addresses, fields[0])
		}
	}
	return addresses, nil
}

// Routes returns the gateway of each of the node's routes that has one, by destination. A default route is not among them.
func (n Node) Routes(ctx context.Context) (map[netip.Prefix]netip.Addr, error) {
	printed, err := n.Run(ctx, routesScript)
	if err != nil {
		return nil, err
	}
	gateways := map[netip.Prefix]netip.Addr{}
	for decoder := json.NewDecoder(bytes.NewReader(printed)); ; {
		var routes []struct{ Dst, Gateway string }
		if err := decoder.Decode(&routes); errors.Is(err, io.EOF) {
			return gateways, nil
		} else if err != nil {
			return nil, fmt.Errorf("reading the routes of node %s: %w", n.Name, err)
		}
		for _, route := range routes {
			destination, notPrefix := netip.ParsePrefix(route.Dst) // "default" and single addresses are none
			gateway, noGateway := netip.ParseAddr(route.Gateway)
			if notPrefix == nil && noGateway == nil {
				gateways[destination] = gateway
			}
		}
	}
}

// Pull pulls an image as the kubelet does, and removes it from the node again.
func (n Node) Pull(ctx context.Context, reference string) error {
	_, err := n.Run(ctx, pullScript, reference)
	return err
}

// Clock returns the node's time.
func (n Node) Clock(ctx context.Context) (time.Time, error) {
	printed, err := n.Run(ctx, clockScript)
	if err != nil {
		return time.Time{}, err
	}
	seconds, err := strconv.ParseInt(strings.TrimSpace(string(printed)), 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("reading the time of node %s: %w", n.Name, err)
	}
	return time.Unix(seconds, 0), nil
}
