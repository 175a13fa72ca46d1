package config

// ExemptNamespaces returns the namespaces whose pods the API server never sends to the webhook: those of the cluster itself,
// and ours. The chart has the same list in templates/_helpers.tpl.
func ExemptNamespaces() []string {
	return []string{"kube-system", "kube-node-lease", "kube-public", "local-path-storage", Name}
}
