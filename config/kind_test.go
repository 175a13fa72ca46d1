package config

import (
	"strings"
	"testing"

	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"
)

func TestKindCluster_MarksEveryNodeAndKeepsTheUsersLabels(t *testing.T) {
	t.Parallel()
	document := "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nname: dev\nnodes:\n- role: control-plane\n- role: worker\n  labels: {tier: front}\n"
	cluster, err := KindCluster([]byte(document), false)
	if err != nil {
		t.Fatal(err)
	}
	if cluster.Name != "dev" || len(cluster.Nodes) != 2 || cluster.Nodes[1].Labels["tier"] != "front" {
		t.Errorf("KindCluster changed the user's configuration: %+v", cluster)
	}
	for _, node := range cluster.Nodes {
		if node.Labels[CreatedLabel] != "true" {
			t.Errorf("node %s has the labels %v, want the mark %s", node.Role, node.Labels, CreatedLabel)
		}
	}
}

func TestKindCluster_HasOneNodeByDefault(t *testing.T) {
	t.Parallel()
	cluster, err := KindCluster(nil, false)
	if err != nil {
		t.Fatal(err)
	}
	if len(cluster.Nodes) != 1 || cluster.Nodes[0].Role != v1alpha4.ControlPlaneRole || len(cluster.KubeadmConfigPatches) != 0 {
		t.Errorf("KindCluster(nil) = %+v", cluster)
	}
}

func TestKindCluster_LetsTheKubeletRunOnCgroupV1(t *testing.T) {
	t.Parallel()
	cluster, err := KindCluster(nil, true)
	if err != nil {
		t.Fatal(err)
	}
	if patches := strings.Join(cluster.KubeadmConfigPatches, "\n"); !strings.Contains(patches, "failCgroupV1: false") {
		t.Errorf("the patches are %q", patches)
	}
}

func TestKindCluster_RefusesWhatKindWouldNotRead(t *testing.T) {
	t.Parallel()
	for name, document := range map[string]string{
		"an unknown field":    "kind: Cluster\nndoes: []\n",
		"another kind":        "kind: Deployment\n",
		"another version":     "kind: Cluster\napiVersion: kind.sigs.k8s.io/v1alpha3\n",
		"not YAML":            "{",
		"a list, not an item": "- role: worker\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := KindCluster([]byte(document), false); err == nil {
				t.Error("KindCluster accepts it")
			}
		})
	}
}

func TestHosting_IsWhatKEP1755Describes(t *testing.T) {
	t.Parallel()
	want := `host: "localhost:5001"
hostFromContainerRuntime: "kind-registry:5000"
hostFromClusterNetwork: "kind-registry:5000"
help: "https://kind.sigs.k8s.io/docs/user/local-registry/"
`
	if got := Hosting(RegistryHost(5001)); got != want {
		t.Errorf("Hosting = %s, want %s", got, want)
	}
}

func TestHosts_NamesTheServerToo(t *testing.T) {
	t.Parallel()
	want := HostsMark + `
server = "http://kind-registry:5000"

[host."http://kind-registry:5000"]
  capabilities = ["pull", "resolve"]
`
	if got := Hosts(); got != want {
		t.Errorf("Hosts = %s, want %s", got, want)
	}
}
