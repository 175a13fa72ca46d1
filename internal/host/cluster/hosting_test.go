package cluster

import (
	"testing"

	"kind-local-registry/config"
)

func TestHosting_IsWhatKEP1755Describes(t *testing.T) {
	t.Parallel()
	want := `host: "localhost:5001"
hostFromContainerRuntime: "kind-registry:5000"
hostFromClusterNetwork: "kind-registry:5000"
help: "https://kind.sigs.k8s.io/docs/user/local-registry/"
`
	if got := Hosting(config.RegistryHost(5001)); got != want {
		t.Errorf("Hosting = %s, want %s", got, want)
	}
}
