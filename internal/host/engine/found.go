package engine

import (
	"net"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"kind-local-registry/config"
)

// Found is a container of the daemon, created by setup or not.
type Found struct{ container.InspectResponse }

// Ours reports whether setup created the container.
func (f *Found) Ours() bool { return f.Config != nil && f.Config.Labels[config.Label] != "" }

// Running reports whether the container runs.
func (f *Found) Running() bool { return f.State.Running }

// ChosenImage returns the reference of the image that the user chose when setup created the container, or "".
func (f *Found) ChosenImage() string { return f.Config.Labels[imageLabel] }

// Variable returns the value of an environment variable of the container, or "" if it is not set.
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

// Endpoint returns the container's endpoint on the network, or nil.
func (f *Found) Endpoint(name string) *network.EndpointSettings {
	return f.NetworkSettings.Networks[name]
}

// Describe returns the name and the address of a running container, and whether the address would survive a restart of Docker.
func (f *Found) Describe(endpoint *network.EndpointSettings) string {
	detail := strings.TrimPrefix(f.Name, "/") + " at " + endpoint.IPAddress.String()
	if endpoint.IPAMConfig == nil || !endpoint.IPAMConfig.IPv4Address.IsValid() {
		detail += " (not fixed: the network was created without a subnet; see docs/operations.md)"
	}
	return detail
}

// HostPort returns the port of the host at which the container was told to publish one of its ports, or 0.
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

// Published returns the address on the host's loopback of a port of a running container, or "" if it is not published there.
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
