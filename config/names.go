package config

import "strconv"

// On the host: containers, volumes and images of the Docker daemon.
const (
	// Cluster is the default name of the kind cluster, as in kind itself.
	Cluster = "kind"
	// Network is the Docker network of kind's nodes.
	Network = "kind"

	// RegistryContainer is the name of the registry's container, its DNS name on Network, and the name of its volume.
	RegistryContainer = "kind-registry"
	// RegistryPort is the registry's default port on the host's loopback and in rewritten references.
	RegistryPort = 5001
	// RegistryContainerPort is the registry's port inside its container.
	RegistryContainerPort = 5000
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
	// PusherPort is the pusher's port on Network. Docker chooses its port on the host's loopback.
	PusherPort = 5443
	// WebhookImage is the repository of the image of the webhook and the pusher that setup carries. Its tag is Version.
	WebhookImage = "kind-local-registry/webhook"

	// RulesVariable is the environment variable of the pusher's container with its rules, a document as in docs/rules.md.
	RulesVariable = "KIND_LOCAL_REGISTRY_RULES"

	// Label marks the Docker objects that setup created: setup removes no others. Its value is the name of the component.
	Label = "kind-local-registry"
)

// MetricsNamespace is the prefix of all metric names of the registry, the pusher and the webhook.
const MetricsNamespace = "kind_local_registry"

// In the cluster: objects, and their labels and annotations.
const (
	// Name is the name of the namespace, chart, release, Deployment, Service and webhook configuration.
	Name = "kind-local-registry"
	// WebhookName is the name of the pod webhook in the configuration. admissionregistration/v1 requires three labels.
	WebhookName = "pods.kind-local-registry.dev"
	// ProbeWebhookName is the name of the probe webhook in the configuration.
	ProbeWebhookName = "probe.kind-local-registry.dev"
	// ProbeLabel, with the value "true", marks a ConfigMap in our namespace as a probe. The API server calls the webhook
	// for it, and the webhook adds the name of its pod under ProbeKey.
	ProbeLabel = "kind-local-registry/probe"
	// ProbeKey is the key that the webhook adds to the data of a probe.
	ProbeKey = "answered-by"
	// ReadyJob is the Job that checks, at the end of an installation, that the API server's calls reach the webhook.
	ReadyJob = "kind-local-registry-ready"
	// UninstallJob is the Job that ungates waiting pods before Helm uninstalls the chart.
	UninstallJob = "kind-local-registry-uninstall"
	// ServingSecret is the Secret with the webhook's serving certificate and its CA.
	ServingSecret = "kind-local-registry-serving-cert" // #nosec G101 -- a Secret's name
	// PodPolicy is the name of the ValidatingAdmissionPolicy that limits which pods the webhook may patch, and of its binding.
	PodPolicy = "kind-local-registry-pods"
	// RightsPolicy is the name of the policy that limits the webhook's other rights, and of its binding.
	RightsPolicy = "kind-local-registry-rights"
	// PusherSecret is the Secret with the client certificate for the pusher (tls.crt, tls.key) and the pusher's CA (ca.crt).
	PusherSecret = "kind-local-registry-pusher-client" // #nosec G101 -- a Secret's name
	// PusherService is the Service, without a selector, through which pods reach the pusher.
	PusherService = "kind-local-registry-pusher"

	// RulesConfigMap is the ConfigMap with the webhook's rules, under RulesKey.
	RulesConfigMap = "kind-local-registry-rules"
	// RulesKey is the key of the rules in RulesConfigMap, and so the name of their file in RulesDirectory.
	RulesKey = "rules.yaml"
	// RulesDirectory is the directory where RulesConfigMap is mounted.
	RulesDirectory = "/etc/kind-local-registry/rules"

	// Gate is the scheduling gate of a pod whose image is being pushed (KEP-3521).
	Gate = "kind-local-registry/image-push"
	// OriginalsAnnotation is the annotation with a pod's original images: a JSON object from field path, as in
	// spec.containers{app}, to image.
	OriginalsAnnotation = "kind-local-registry/original-images"
	// NeverAnnotation is the annotation with the paths of the fields whose author set imagePullPolicy: Never, a JSON list.
	// Their original image is never restored, because the kubelet would pull it from the registry in its name.
	NeverAnnotation = "kind-local-registry/pull-never"
	// HealedAnnotation is the annotation with the number of times that a pod was healed, and the last time.
	HealedAnnotation = "kind-local-registry/healed"
	// ProgressAnnotation is the annotation with the progress of the pushes that a gated pod waits for, for people to read. It
	// is removed with the gate.
	ProgressAnnotation = "kind-local-registry/progress"
	// RewriteAnnotation is the annotation with which a pod opts out: the value "false" keeps its images as they are.
	RewriteAnnotation = "kind-local-registry/rewrite"
	// CreatedLabel marks the nodes of a cluster that setup created. setup deletes no other cluster.
	CreatedLabel = "kind-local-registry/created-by-setup"
)

// ExemptNamespaces returns the namespaces whose pods the API server never sends to the webhook: those of the cluster itself,
// and ours. The chart has the same list in templates/_helpers.tpl.
func ExemptNamespaces() []string {
	return []string{"kube-system", "kube-node-lease", "kube-public", "local-path-storage", Name}
}

// ServiceAccountUser returns the webhook's user name in the API server.
func ServiceAccountUser() string { return "system:serviceaccount:" + Name + ":" + Name }

// RegistryHost returns the registry's host in rewritten references: localhost and port.
func RegistryHost(port int) string { return "localhost:" + strconv.Itoa(port) }

// Version is the version of this build. The linker sets it (see the Makefile); a bare go build is "dev".
var Version = "dev"
