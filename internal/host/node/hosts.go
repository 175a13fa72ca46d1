package node

import (
	"fmt"

	"kind-local-registry/config"
)

// CertsDir is where containerd looks for a registry's host configuration, one directory a registry.
const CertsDir = "/etc/containerd/certs.d"

// HostsMark is the first line of the hosts.toml that setup writes; a file without it is somebody else's.
const HostsMark = "# Written by kind-local-registry; setup down removes it."

// HostsFile returns the path on a node of the host configuration for registryHost.
func HostsFile(registryHost string) string { return CertsDir + "/" + registryHost + "/hosts.toml" }

// Hosts returns the hosts.toml that sends a node's pulls to the registry's container. It names the server too: containerd
// retries only on the last host that it knows, which would else be the node's own localhost
// (github.com/containerd/containerd/blob/main/docs/hosts.md).
func Hosts() string {
	server := fmt.Sprintf("http://%s:%d", config.RegistryContainer, config.RegistryContainerPort)
	return fmt.Sprintf("%s\nserver = %q\n\n[host.%q]\n  capabilities = [\"pull\", \"resolve\"]\n", HostsMark, server, server)
}
