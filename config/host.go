package config

// On the host: containers, volumes and images of the Docker daemon.
const (
	// Cluster is the default name of the kind cluster, as in kind itself.
	Cluster = "kind"
	// Network is the Docker network of kind's nodes.
	Network = "kind"

	// RegistryContainer is the name of the registry's container, its DNS name on Network, and the name of its volume.
	RegistryContainer = "kind-registry"
	// RegistrySocketVolume is the name of the volume with RegistrySocket. Only the registry and the pusher mount it.
	RegistrySocketVolume = "kind-registry-socket"
	// RegistrySocketDirectory is the directory where RegistrySocketVolume is mounted.
	RegistrySocketDirectory = "/run/kind-registry"
	// RegistrySocket is the path of the Unix socket through which the pusher writes to the registry.
	RegistrySocket = RegistrySocketDirectory + "/registry.sock"
	// RegistryImage is the repository of the registry's image that setup carries. Its tag is Version.
	RegistryImage = "kind-local-registry/registry"

	// PusherContainer is the name of the pusher's container, the name in its certificate, and the name of the volume of its
	// certificates.
	PusherContainer = "kind-registry-pusher"
	// WebhookImage is the repository of the image of the webhook and the pusher that setup carries. Its tag is Version.
	WebhookImage = "kind-local-registry/webhook"

	// RulesVariable is the environment variable of the pusher's container with its rules, a document as in docs/rules.md.
	RulesVariable = "KIND_LOCAL_REGISTRY_RULES"

	// Label marks the Docker objects that setup created: setup removes no others. Its value is the name of the component.
	Label = "kind-local-registry"
)
