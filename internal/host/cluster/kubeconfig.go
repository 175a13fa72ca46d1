package cluster

import (
	"errors"
	"fmt"
	"os"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"kind-local-registry/internal/host/step"
)

// checkKubeconfig returns an error if kind would be unable to update the kubeconfig. Setup then fails before it creates a
// cluster. If path is "", kubectl's default is checked.
func checkKubeconfig(path string) error {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = path
	for _, file := range rules.GetLoadingPrecedence() {
		if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
			continue
		}
		if _, err := clientcmd.LoadFromFile(file); err != nil {
			return step.Remedy(fmt.Errorf("reading kubeconfig %s: %w", file, err), "repair or move it, or choose another with --kubeconfig")
		}
	}
	return nil
}

// hasContext reports whether the kubeconfig contains a context with that name.
func hasContext(path, name string) bool { return contextOf(path, name) != nil }

// Namespace returns the namespace of the cluster's context in the kubeconfig, which kubectl uses by default, or "default" if it has none.
func (c *Cluster) Namespace() string {
	if found := contextOf(c.options.Kubeconfig, c.Context()); found != nil && found.Namespace != "" {
		return found.Namespace
	}
	return metav1.NamespaceDefault
}

// contextOf returns the context with that name from the kubeconfig, or nil if there is none or the kubeconfig cannot be read.
func contextOf(path, name string) *api.Context {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = path
	loaded, err := rules.Load()
	if err != nil {
		return nil
	}
	return loaded.Contexts[name]
}
