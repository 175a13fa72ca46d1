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
	path := filepath.Join(t.TempDir(), "config")
	document := "apiVersion: v1\nkind: Config\ncontexts: [{name: kind-dev, context: {cluster: kind-dev, user: kind-dev}}]\n"
	if err := os.WriteFile(path, []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	for context, want := range map[string]bool{"kind-dev": true, "kind-other": false} {
		if got := hasContext(path, context); got != want {
			t.Errorf("hasContext(%s) = %t, want %t", context, got, want)
		}
	}
	if hasContext(path+".none", "kind-dev") {
		t.Error("a file that does not exist has a context")
	}
}
