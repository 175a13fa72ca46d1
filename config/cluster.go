package config

// In the cluster: objects and their labels.
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

	// CreatedLabel marks the nodes of a cluster that setup created. setup deletes no other cluster.
	CreatedLabel = "kind-local-registry/created-by-setup"
)

// ServiceAccountUser returns the webhook's user name in the API server.
func ServiceAccountUser() string { return "system:serviceaccount:" + Name + ":" + Name }
