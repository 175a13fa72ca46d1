package config

import "strconv"

// The host's side: containers, volumes and images of the Docker daemon.
const (
	// Cluster is the name of the kind cluster that setup works on unless told otherwise; it is kind's own default.
	Cluster = "kind"
	// Network is the Docker network that kind puts its nodes on.
	Network = "kind"

	// RegistryContainer is the registry's container, its DNS name on Network, and its named volume.
	RegistryContainer = "kind-registry"
	// RegistryPort is the port on the host's loopback, and in every reference, unless told otherwise.
	RegistryPort = 5001
	// RegistryContainerPort is the port that the registry listens on inside its container.
	RegistryContainerPort = 5000
	// RegistrySocketVolume is the named volume, mounted at RegistrySocketDirectory by the registry and the pusher only, with
	// the Unix socket through which the pusher writes to the registry.
	RegistrySocketVolume = "kind-registry-socket"
	// RegistrySocketDirectory is where RegistrySocketVolume is mounted.
	RegistrySocketDirectory = "/run/kind-registry"
	// RegistrySocket is the path of the socket.
	RegistrySocket = RegistrySocketDirectory + "/registry.sock"
	// RegistryImage is the image of the registry that setup carries; its tag is Version.
	RegistryImage = "kind-local-registry/registry"

	// PusherContainer is the pusher's container, the name in its certificate, and the volume with its certificates.
	PusherContainer = "kind-registry-pusher"
	// PusherPort is the port that the pusher listens on, on Network, and on the host's loopback at a port that Docker
	// chooses.
	PusherPort = 5443
	// WebhookImage is the image of the webhook and of the pusher that setup carries; its tag is Version.
	WebhookImage = "kind-local-registry/webhook"

	// RulesVariable is the environment variable with the rules of the pusher's container, a document as in docs/rules.md.
	RulesVariable = "KIND_LOCAL_REGISTRY_RULES"

	// Label marks what setup made in Docker, so that it takes away nothing that it did not make. Its value is the
	// name of the piece.
	Label = "kind-local-registry"
)

// The cluster's side: everything of ours carries the project's name.
const (
	// Name is the namespace, the chart, the release, the Deployment, the Service and the webhook configuration.
	Name = "kind-local-registry"
	// WebhookName is the name of the webhook for pods in the configuration; admissionregistration/v1 wants three labels.
	WebhookName = "pods.kind-local-registry.dev"
	// ProbeWebhookName is the name of the other webhook in it, that for probes.
	ProbeWebhookName = "probe.kind-local-registry.dev"
	// ProbeLabel, with the value "true", marks a ConfigMap in our namespace as a probe: about it the API server asks the
	// webhook, which answers under ProbeKey with the name of its pod.
	ProbeLabel = "kind-local-registry/probe"
	// ProbeKey is the key that the webhook adds to the data of a probe.
	ProbeKey = "answered-by"
	// ReadyJob is the Job that asks, at the end of an installation, whether the API server's calls reach the webhook.
	ReadyJob = "kind-local-registry-ready"
	// UninstallJob is the Job that ungates waiting pods before Helm uninstalls the chart.
	UninstallJob = "kind-local-registry-uninstall"
	// ServingSecret holds the webhook's serving certificate and its CA.
	ServingSecret = "kind-local-registry-serving-cert" // #nosec G101 -- a Secret's name
	// PodPolicy is the policy, and its binding, that holds the webhook's ServiceAccount to the pods that it may patch.
	PodPolicy = "kind-local-registry-pods"
	// RightsPolicy is the policy, and its binding, that narrows the other rights of the ServiceAccount.
	RightsPolicy = "kind-local-registry-rights"
	// PusherSecret holds the client certificate for the pusher (tls.crt, tls.key) and the pusher's CA (ca.crt).
	PusherSecret = "kind-local-registry-pusher-client" // #nosec G101 -- a Secret's name
	// PusherService is the Service without selector that stands for the pusher.
	PusherService = "kind-local-registry-pusher"

	// RulesConfigMap holds the webhook's rules, under RulesKey.
	RulesConfigMap = "kind-local-registry-rules"
	// RulesKey is the rules' key in RulesConfigMap, and so their file's name in RulesDirectory.
	RulesKey = "rules.yaml"
	// RulesDirectory is where RulesConfigMap is mounted.
	RulesDirectory = "/etc/kind-local-registry/rules"

	// Gate is the scheduling gate of a pod whose image is being pushed (KEP-3521).
	Gate = "kind-local-registry/image-push"
	// OriginalsAnnotation holds the references as they were written: a JSON object from field path, as in
	// spec.containers{app}, to image.
	OriginalsAnnotation = "kind-local-registry/original-images"
	// NeverAnnotation holds the paths of the fields whose author wrote imagePullPolicy: Never, a JSON list. Their original
	// image is never put back: the kubelet would pull it from where it names.
	NeverAnnotation = "kind-local-registry/pull-never"
	// HealedAnnotation holds how often, and when last, a pod was given other images after its creation, as it could not pull
	// those it had.
	HealedAnnotation = "kind-local-registry/healed"
	// ProgressAnnotation says how far the pushes are that our gate holds a pod for, for people to read. It goes with the gate.
	ProgressAnnotation = "kind-local-registry/progress"
	// RewriteAnnotation lets a pod opt out: with the value "false" its images are left alone.
	RewriteAnnotation = "kind-local-registry/rewrite"
	// CreatedLabel marks the nodes of a cluster that setup created, and so may delete.
	CreatedLabel = "kind-local-registry/created-by-setup"
)

// ExemptNamespaces returns the namespaces about whose pods the API server never asks the webhook, as the chart says: those
// of the cluster itself, and ours.
func ExemptNamespaces() []string {
	return []string{"kube-system", "kube-node-lease", "kube-public", "local-path-storage", Name}
}

// ServiceAccountUser returns the user that the API server knows the webhook as.
func ServiceAccountUser() string { return "system:serviceaccount:" + Name + ":" + Name }

// RegistryHost returns the registry's host as it stands in every rewritten reference: localhost and port.
func RegistryHost(port int) string { return "localhost:" + strconv.Itoa(port) }

// Version is the version of this build. The linker sets it (see the Makefile); a bare go build is "dev".
var Version = "dev"
