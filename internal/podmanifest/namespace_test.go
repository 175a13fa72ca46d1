package podmanifest_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"kind-local-registry/internal/podmanifest"
)

func TestNamespaceLabels_ReturnsLabelsOfValidNamespaces(t *testing.T) {
	t.Parallel()
	documents := read(t, "apiVersion: v1\nkind: Namespace\nmetadata: {name: a, labels: {b: c}}\n---\n"+
		"apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Namespace, metadata: {name: d}}]\n---\n# none\n---\n"+
		"apiVersion: v1\nkind: Namespace\nmetadata: {name: refused, labels: {b: 1}}\n---\n"+pod("a"))
	want := map[string]map[string]string{
		"a": {"b": "c", "kubernetes.io/metadata.name": "a"},
		"d": {"kubernetes.io/metadata.name": "d"},
	}
	if diff := cmp.Diff(want, podmanifest.NamespaceLabels(documents)); diff != "" {
		t.Errorf("NamespaceLabels (-want +got):\n%s", diff)
	}
}
