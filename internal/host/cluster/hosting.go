package cluster

import (
	"fmt"

	"kind-local-registry/config"
)

// The ConfigMap that tells other tools of the registry, as KEP-1755 has it.
const (
	HostingNamespace = "kube-public"
	HostingConfigMap = "local-registry-hosting"
	HostingKey       = "localRegistryHosting.v1"
)

// Hosting returns the ConfigMap's document for the registry at registryHost
// (kubernetes/enhancements, KEP-1755, LocalRegistryHostingV1).
func Hosting(registryHost string) string {
	inside := fmt.Sprintf("%s:%d", config.RegistryContainer, config.RegistryContainerPort)
	return fmt.Sprintf("host: %q\nhostFromContainerRuntime: %q\nhostFromClusterNetwork: %q\n"+
		"help: \"https://kind.sigs.k8s.io/docs/user/local-registry/\"\n", registryHost, inside, inside)
}
