package cluster

import (
	"strings"
	"testing"

	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"

	"kind-local-registry/config"
)

func TestParseKindConfig_LabelsEveryNodeAndKeepsLabels(t *testing.T) {
	t.Parallel()
	document := "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nname: dev\nnodes:\n- role: control-plane\n- role: worker\n  labels: {tier: front}\n"
	cluster, err := parseKindConfig([]byte(document), false)
	if err != nil {
		t.Fatal(err)
	}
	if cluster.Name != "dev" || len(cluster.Nodes) != 2 || cluster.Nodes[1].Labels["tier"] != "front" {
		t.Errorf("parseKindConfig changed the user's configuration: %+v", cluster)
	}
	for _, node := range cluster.Nodes {
		if node.Labels[config.CreatedLabel] != "true" {
			t.Errorf("node %s has the labels %v, want the label %s", node.Role, node.Labels, config.CreatedLabel)
		}
	}
}

func TestParseKindConfig_HasOneNodeByDefault(t *testing.T) {
	t.Parallel()
	cluster, err := parseKindConfig(nil, false)
	if err != nil {
		t.Fatal(err)
	}
	if len(cluster.Nodes) != 1 || cluster.Nodes[0].Role != v1alpha4.ControlPlaneRole || len(cluster.KubeadmConfigPatches) != 0 {
		t.Errorf("parseKindConfig(nil) = %+v", cluster)
	}
}

func TestParseKindConfig_AllowsCgroupV1(t *testing.T) {
	t.Parallel()
	cluster, err := parseKindConfig(nil, true)
	if err != nil {
		t.Fatal(err)
	}
	if patches := strings.Join(cluster.KubeadmConfigPatches, "\n"); !strings.Contains(patches, "failCgroupV1: false") {
		t.Errorf("the patches are %q", patches)
	}
}

func TestParseKindConfig_RejectsWhatKindRejects(t *testing.T) {
	t.Parallel()
	for name, document := range map[string]string{
		"an unknown field":    "kind: Cluster\nndoes: []\n",
		"another kind":        "kind: Deployment\n",
		"another version":     "kind: Cluster\napiVersion: kind.sigs.k8s.io/v1alpha3\n",
		"not YAML":            "{",
		"registry.mirrors":    "containerdConfigPatches: [\"[plugins.'io.containerd.grpc.v1.cri'.registry.mirrors.'docker.io']\"]\n",
		"a list, not an item": "- role: worker\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := parseKindConfig([]byte(document), false); err == nil {
				t.Error("parseKindConfig accepts it")
			}
		})
	}
}
