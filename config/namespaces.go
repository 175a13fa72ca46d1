package config

// ExemptNamespaces returns the namespaces whose pods the API server never sends to the webhook: the cluster's own namespaces and
// ours. The chart contains the same list in templates/_helpers.tpl.
func ExemptNamespaces() []string {
	return []string{"kube-system", "kube-node-lease", "kube-public", "local-path-storage", Name}
}
