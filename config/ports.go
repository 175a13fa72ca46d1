package config

import "strconv"

// Ports of the registry and the pusher.
const (
	// RegistryPort is the registry's default port on the host's loopback interface and in rewritten images.
	RegistryPort = 5001
	// RegistryContainerPort is the registry's port inside its container.
	RegistryContainerPort = 5000
	// PusherPort is the pusher's port on Network. Docker chooses the pusher's port on the host's loopback interface.
	PusherPort = 5443
)

// RegistryHost returns the registry's host and port in rewritten images, such as localhost:5001.
func RegistryHost(port int) string { return "localhost:" + strconv.Itoa(port) }
