package engine

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"kind-local-registry/config"
)

// Labelled returns the containers with the label, whether or not they are running.
func (e *Engine) Labelled(ctx context.Context, label string) ([]container.Summary, error) {
	found, err := e.client.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: make(client.Filters).Add("label", label)})
	if err != nil {
		return nil, fmt.Errorf("listing the containers with label %s: %w", label, err)
	}
	return found.Items, nil
}

// Found is a container that exists in Docker, whether or not setup created it.
type Found struct{ container.InspectResponse }

// Ours reports whether setup created the container.
func (f *Found) Ours() bool { return f.Config != nil && f.Config.Labels[config.Label] != "" }

// Running reports whether the container is running and not paused.
func (f *Found) Running() bool { return f.State.Running && !f.State.Paused }

// Paused reports whether the container is paused. It then keeps its ports and addresses.
func (f *Found) Paused() bool { return f.State.Paused }

// Started returns when the container was last started. The time is zero if there is no container, or if it never was.
func (f *Found) Started() time.Time {
	if f == nil || f.State == nil {
		return time.Time{}
	}
	started, _ := time.Parse(time.RFC3339Nano, f.State.StartedAt) // Docker's zero time is also Go's
	return started
}

// ChosenImage returns the reference of the image that the user chose when setup created the container. It is "" if the user chose
// none.
func (f *Found) ChosenImage() string { return f.Config.Labels[imageLabel] }

// Variable returns the value of one of the container's environment variables, or "" if it is not set.
func (f *Found) Variable(name string) string {
	if f.Config == nil {
		return ""
	}
	for _, entry := range f.Config.Env {
		if value, found := strings.CutPrefix(entry, name+"="); found {
			return value
		}
	}
	return ""
}

// Endpoint returns the container's endpoint on the network, or nil if there is no container or it is not connected to the network.
func (f *Found) Endpoint(name string) *network.EndpointSettings {
	if f == nil || f.NetworkSettings == nil {
		return nil
	}
	return f.NetworkSettings.Networks[name]
}

// Connected reports whether setup connected the container to the network with Network.Connect.
func (f *Found) Connected(name string) bool {
	endpoint := f.Endpoint(name)
	return endpoint != nil && endpoint.DriverOpts[config.Label] != ""
}

// Address returns an endpoint's IPv4 address, or its IPv6 address if the network has no IPv4. It returns "" if the container is not
// running.
func Address(endpoint *network.EndpointSettings) string {
	for _, address := range []netip.Addr{endpoint.IPAddress, endpoint.GlobalIPv6Address} {
		if address.IsValid() {
			return address.String()
		}
	}
	return ""
}

// Describe returns the name and address of a running container. It adds a note if the address may change when Docker restarts.
func (f *Found) Describe(endpoint *network.EndpointSettings) string {
	fixed := cmp.Or(endpoint.IPAMConfig, &network.EndpointIPAMConfig{})
	configured := fixed.IPv4Address
	if !endpoint.IPAddress.IsValid() {
		configured = fixed.IPv6Address
	}
	detail := strings.TrimPrefix(f.Name, "/") + " at " + Address(endpoint)
	if !configured.IsValid() {
		detail += " (not fixed: the network was created without a subnet; see docs/operations.md)"
	}
	return detail
}

// HostPort returns the host port that the container is configured to publish, or 0 if there is none.
func (f *Found) HostPort() int {
	for _, bindings := range f.HostConfig.PortBindings {
		for _, binding := range bindings {
			if port, err := strconv.Atoi(binding.HostPort); err == nil {
				return port
			}
		}
	}
	return 0
}

// Published returns the address on the host's loopback at which a running container publishes the port. It returns "" if the port
// is not published there.
func (f *Found) Published(port int) string {
	if f.NetworkSettings == nil {
		return ""
	}
	for inside, bindings := range f.NetworkSettings.Ports {
		for _, binding := range bindings {
			if int(inside.Num()) == port && binding.HostIP == loopback && binding.HostPort != "" {
				return net.JoinHostPort(loopback.String(), binding.HostPort)
			}
		}
	}
	return ""
}

// PublishesIPv6 reports whether a running container publishes a port at the host port on an IPv6 address.
func (f *Found) PublishesIPv6(hostPort int) bool {
	if f.NetworkSettings == nil {
		return false
	}
	for _, bindings := range f.NetworkSettings.Ports {
		for _, binding := range bindings {
			if binding.HostIP.Is6() && binding.HostPort == strconv.Itoa(hostPort) {
				return true
			}
		}
	}
	return false
}
