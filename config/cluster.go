package config

// Names and labels of objects in the cluster.
const (
	// Name is the name of the namespace, chart, release, Deployment, Service and webhook configuration.
	Name = "kind-local-registry"
	// WebhookName is the name of the pod webhook in the configuration. admissionregistration/v1 requires at least three DNS labels.
	WebhookName = "pods.kind-local-registry.dev"
	// WorkloadWebhookName is the name of the webhook for the objects that create pods.
	WorkloadWebhookName = "workloads.kind-local-registry.dev"
	// ProbeWebhookName is the name of the probe webhook in the configuration.
	ProbeWebhookName = "probe.kind-local-registry.dev"
	// ProbeLabel marks a ConfigMap in our namespace as a probe if its value is "true". When a probe is created, the API server calls
	// the webhook, which adds the name of its own pod to the probe under ProbeKey.
	ProbeLabel = "kind-local-registry/probe"
	// ProbeKey is the key that the webhook adds to a probe's data.
	ProbeKey = "answered-by"
	// ReadyJob is the Job that waits, at the end of an installation or upgrade, until the API server's calls reach the webhook.
	ReadyJob = "kind-local-registry-ready"
	// UninstallJob is the Job that ungates waiting pods before Helm uninstalls the chart.
	UninstallJob = "kind-local-registry-uninstall"
	// ServingSecret is the Secret that contains the webhook's serving certificate and the certificate's CA.
	ServingSecret = "kind-local-registry-serving-cert" // #nosec G101 -- a Secret's name
	// PodPolicy is the name of a ValidatingAdmissionPolicy and its binding. The policy limits which pods the webhook may patch.
	PodPolicy = "kind-local-registry-pods"
	// RightsPolicy is the name of a ValidatingAdmissionPolicy and its binding. The policy limits the webhook's other rights.
	RightsPolicy = "kind-local-registry-rights"
	// RestartPolicy is the name of a ValidatingAdmissionPolicy and its binding, which exist only with restart on rebuild. The policy
	// limits which workloads the webhook may patch.
	RestartPolicy = "kind-local-registry-restarts"
	// PusherSecret is the Secret that contains the client certificate for the pusher (tls.crt, tls.key) and the pusher's CA (ca.crt).
	PusherSecret = "kind-local-registry-pusher-client" // #nosec G101 -- a Secret's name
	// PusherService is the Service through which pods reach the pusher. It has no selector.
	PusherService = "kind-local-registry-pusher"

	// RulesConfigMap is the ConfigMap that contains the webhook's rules.
	RulesConfigMap = "kind-local-registry-rules"
	// RulesKey is the key of the rules in RulesConfigMap, and therefore the name of their file in RulesDirectory.
	RulesKey = "rules.yaml"
	// RulesDirectory is the directory where RulesConfigMap is mounted.
	RulesDirectory = "/etc/kind-local-registry/rules"

	// CreatedLabel marks the nodes of a cluster that setup created. setup never deletes a cluster without this label.
	CreatedLabel = "kind-local-registry/created-by-setup"
)

// ServiceAccountUser returns the user name with which the webhook authenticates to the API server.
func ServiceAccountUser() string { return "system:serviceaccount:" + Name + ":" + Name }
