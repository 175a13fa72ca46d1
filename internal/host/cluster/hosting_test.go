package cluster

import (
	"testing"

	"kind-local-registry/config"
)

func TestHosting_DocumentFollowsKEP1755(t *testing.T) {
	t.Parallel()
	want := `host: "localhost:5001"
hostFromContainerRuntime: "kind-registry:5000"
hostFromClusterNetwork: "kind-registry:5000"
help: "https://kind.sigs.k8s.io/docs/user/local-registry/"
`
	if got := (hosting{registryHost: config.RegistryHost(5001)}).document(); got != want {
		t.Errorf("document = %s, want %s", got, want)
	}
}
