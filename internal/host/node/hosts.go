package node

import (
	"fmt"
	"strings"

	"kind-local-registry/config"
)

// CertsDir is the directory in which containerd looks for host configurations. It contains one directory for each registry host.
const CertsDir = "/etc/containerd/certs.d"

// HostsMark is the first line of the hosts.toml that setup writes. If the line is missing, another tool wrote the file.
const HostsMark = "# Written by kind-local-registry; setup down removes it."

// HostsFile returns the path of registryHost's host configuration on a node.
func HostsFile(registryHost string) string { return CertsDir + "/" + registryHost + "/hosts.toml" }

// Hosts returns the hosts.toml that directs a node's pulls to the registry's container. It also sets server: containerd retries
// only the last host in its list, and without server, that is the node's own localhost
// (github.com/containerd/containerd/blob/main/docs/hosts.md).
func Hosts() string {
	server := registryURL()
	return fmt.Sprintf("%s\nserver = %q\n\n[host.%q]\n  capabilities = [\"pull\", \"resolve\"]\n", HostsMark, server, server)
}

// registryURL returns the URL at which nodes reach the registry's container.
func registryURL() string {
	return fmt.Sprintf("http://%s:%d", config.RegistryContainer, config.RegistryContainerPort)
}

// Foreign reports whether another tool wrote the hosts.toml.
func Foreign(hosts string) bool { return !strings.HasPrefix(hosts, HostsMark) }
