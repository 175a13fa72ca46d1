package config

// MetricsNamespace is the prefix of all metric names of the registry, the pusher and the webhook.
const MetricsNamespace = "kind_local_registry"
