package cluster

import (
	"fmt"

	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"
	"sigs.k8s.io/yaml"

	"kind-local-registry/config"
)

// allowCgroupV1 lets the kubelet of Kubernetes 1.35 and later start on a host with cgroup v1.
const allowCgroupV1 = "kind: KubeletConfiguration\nfailCgroupV1: false\n"

// KindConfig returns kind's configuration for a cluster that setup creates: the user's document, strictly read (empty
// for kind's own default, one node), with a mark on each node by which setup knows its own clusters again.
func KindConfig(document []byte, cgroupV1 bool) (*v1alpha4.Cluster, error) {
	cluster := &v1alpha4.Cluster{}
	if err := yaml.UnmarshalStrict(document, cluster); err != nil {
		return nil, fmt.Errorf("parsing kind configuration: %w", err)
	}
	if version := cluster.APIVersion; version != "" && version != "kind.x-k8s.io/v1alpha4" {
		return nil, fmt.Errorf("parsing kind configuration: apiVersion %q, want kind.x-k8s.io/v1alpha4", version)
	}
	if kind := cluster.Kind; kind != "" && kind != "Cluster" {
		return nil, fmt.Errorf("parsing kind configuration: kind %q, want Cluster", kind)
	}
	if len(cluster.Nodes) == 0 {
		cluster.Nodes = []v1alpha4.Node{{Role: v1alpha4.ControlPlaneRole}}
	}
	for i := range cluster.Nodes {
		node := &cluster.Nodes[i]
		if node.Labels == nil {
			node.Labels = map[string]string{}
		}
		node.Labels[config.CreatedLabel] = "true"
	}
	if cgroupV1 {
		cluster.KubeadmConfigPatches = append([]string{allowCgroupV1}, cluster.KubeadmConfigPatches...)
	}
	return cluster, nil
}
