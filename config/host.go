package config

// Names of the Docker daemon's containers, volumes and images, and related names on the host.
const (
	// Cluster is the default name of the kind cluster. It is also kind's own default.
	Cluster = "kind"
	// ClusterLabel is the label that kind puts on every container that it creates. Its value is the cluster's name.
	ClusterLabel = "io.x-k8s.kind.cluster"
	// Network is the Docker network of kind's nodes.
	Network = "kind"

	// RegistryContainer is the name of the registry's container, its DNS name on Network, and the name of its volume.
	RegistryContainer = "kind-registry"
	// RegistrySocketVolume is the name of the volume that contains RegistrySocket and LinkerSocket. Only the registry, the pusher
	// and the linker mount it.
	RegistrySocketVolume = "kind-registry-socket"
	// RegistrySocketDirectory is the directory where RegistrySocketVolume is mounted.
	RegistrySocketDirectory = "/run/kind-registry"
	// RegistrySocket is the path of the Unix socket through which the pusher writes to the registry.
	RegistrySocket = RegistrySocketDirectory + "/registry.sock"
	// LinkerImage is the repository of the linker's image, which is built into setup. Its tag is Version.
	LinkerImage = "kind-local-registry/linker"
	// LinkerContainer is the name of the linker's container.
	LinkerContainer = "kind-registry-linker"
	// LinkerSocket is the path of the Unix socket through which the registry and the pusher send requests to the linker.
	LinkerSocket = RegistrySocketDirectory + "/linker.sock"
	// LinkVariable is the environment variable of the pusher's container that is "off" if layers are not linked.
	LinkVariable = "KIND_LOCAL_REGISTRY_LINK"

	// RegistryImage is the repository of the registry's image, which is built into setup. Its tag is Version.
	RegistryImage = "kind-local-registry/registry"

	// PusherContainer is the name of the pusher's container and of the volume that contains its certificates. It is also the host
	// name in the pusher's certificate.
	PusherContainer = "kind-registry-pusher"
	// WebhookImage is the repository of the image that both the webhook and the pusher run. It is built into setup. Its tag is
	// Version.
	WebhookImage = "kind-local-registry/webhook"

	// RulesVariable is the environment variable that contains the pusher's rules, in the format of docs/rules.md.
	RulesVariable = "KIND_LOCAL_REGISTRY_RULES"

	// KeepStorageVariable is the environment variable that contains the limit of the registry's storage, such as 20GB. If it is not
	// set, there is no limit.
	KeepStorageVariable = "KIND_LOCAL_REGISTRY_KEEP_STORAGE"

	// Label marks the Docker objects that setup created. setup never removes an object without it. Its value is the component's name.
	Label = "kind-local-registry"
)
