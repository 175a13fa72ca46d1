package cluster

import (
	"fmt"
	"os"

	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"
	"sigs.k8s.io/yaml"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/kindconfig"
	"kind-local-registry/internal/host/step"
)

// allowCgroupV1 is a kubeadm patch that lets the kubelet of Kubernetes 1.35 and later start on a host with cgroup v1.
const allowCgroupV1 = "kind: KubeletConfiguration\nfailCgroupV1: false\n"

// readKindConfig reads a kind configuration file. If file is "", it returns kind's default configuration, which has one node.
func readKindConfig(file string, cgroupV1 bool) (*v1alpha4.Cluster, error) {
	var document []byte
	if file != "" {
		var err error
		if document, err = os.ReadFile(file); err != nil { // #nosec G304 -- the user chose the file
			return nil, step.Remedy(fmt.Errorf("reading the kind configuration: %w", err), "name a readable file with --config")
		}
	}
	cluster, err := parseKindConfig(document, cgroupV1)
	if err != nil {
		return nil, step.Remedy(fmt.Errorf("%s: %w", file, err), "see https://kind.sigs.k8s.io/docs/user/configuration/")
	}
	return cluster, nil
}

// parseKindConfig parses a kind configuration and rejects unknown fields. It labels each node, so that setup recognises the
// clusters that it created.
func parseKindConfig(document []byte, cgroupV1 bool) (*v1alpha4.Cluster, error) {
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
	if err := kindconfig.CheckContainerd(cluster); err != nil { // before a cluster exists that no node can pull in
		return nil, err
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
