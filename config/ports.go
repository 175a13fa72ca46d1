package config

import "strconv"

// The ports.
const (
	// RegistryPort is the registry's default port on the host's loopback and in rewritten references.
	RegistryPort = 5001
	// RegistryContainerPort is the registry's port inside its container.
	RegistryContainerPort = 5000
	// PusherPort is the pusher's port on Network. Docker chooses its port on the host's loopback.
	PusherPort = 5443
)

// RegistryHost returns the registry's host in rewritten references: localhost and port.
func RegistryHost(port int) string { return "localhost:" + strconv.Itoa(port) }
