package cluster

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheckKubeconfig_NamesFileAndRemedy(t *testing.T) {
	t.Parallel()
	broken := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(broken, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := checkKubeconfig(broken)
	if err == nil || !strings.Contains(err.Error(), broken) || !strings.Contains(err.Error(), "--kubeconfig") {
		t.Errorf("checkKubeconfig = %v", err)
	}
	if err := checkKubeconfig(broken + ".none"); err != nil {
		t.Errorf("checkKubeconfig = %v for a file that does not exist yet", err)
	}
}

func TestHasContext_ReadsTheKubeconfig(t *testing.T) {
	t.Parallel()
	path := writeKubeconfig(t)
	for context, want := range map[string]bool{"kind-dev": true, "kind-other": false} {
		if got := hasContext(path, context); got != want {
			t.Errorf("hasContext(%s) = %t, want %t", context, got, want)
		}
	}
	if hasContext(path+".none", "kind-dev") {
		t.Error("a file that does not exist has a context")
	}
}

func TestNamespace_IsThatOfTheClustersContext(t *testing.T) {
	t.Parallel()
	path := writeKubeconfig(t)
	for name, want := range map[string]string{"dev": "default", "shop": "web", "other": "default"} {
		cluster := Cluster{options: Options{Name: name, Kubeconfig: path}}
		if got := cluster.Namespace(); got != want {
			t.Errorf("Namespace of %s = %q, want %q", name, got, want)
		}
	}
}

// writeKubeconfig writes a kubeconfig with two contexts, and returns its path.
func writeKubeconfig(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config")
	document := `apiVersion: v1
kind: Config
current-context: kind-dev
contexts:
- {name: kind-dev, context: {cluster: kind-dev, user: kind-dev}}
- {name: kind-shop, context: {cluster: kind-shop, user: kind-shop, namespace: web}}
`
	if err := os.WriteFile(path, []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
