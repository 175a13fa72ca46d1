//go:build api

package api

import (
	"testing"

	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/discovery"
)

// serverVersion returns the version of the API server.
func serverVersion(t *testing.T) *version.Version {
	t.Helper()
	client, err := discovery.NewDiscoveryClientForConfig(shared.access)
	if err != nil {
		t.Fatal(err)
	}
	info, err := client.ServerVersion()
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := version.ParseGeneric(info.GitVersion)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// needVersion skips the test if the API server is older than the version, which is the first that has the feature.
func needVersion(t *testing.T, first, feature string) {
	t.Helper()
	if found := serverVersion(t); found.LessThan(version.MustParseGeneric(first)) {
		t.Skipf("SKIP: Kubernetes %s has no %s, which came with %s", found, feature, first)
	}
}
