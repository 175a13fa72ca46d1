package cluster

import (
	"errors"
	"fmt"
	"os"

	"k8s.io/client-go/tools/clientcmd"

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
func hasContext(path, name string) bool {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = path
	loaded, err := rules.Load()
	return err == nil && loaded.Contexts[name] != nil
}
