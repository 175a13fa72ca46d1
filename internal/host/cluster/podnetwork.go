package cluster

import (
	"context"
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// kindnet is the name of the DaemonSet in kube-system that runs kind's network plugin.
const kindnet = "kindnet"

// PodNetwork is what the API server knows about a node's network.
type PodNetwork struct {
	// Node is the node's name.
	Node string
	// Subnets are the subnets of the node's pods, one of each IP family of the cluster.
	Subnets []netip.Prefix
	// Addresses are the node's own addresses, one of each IP family of the cluster.
	Addresses []netip.Addr
}

// PodNetworks returns the pod network of each node. It returns none if the cluster does not use kind's network plugin: other plugins may
// choose other subnets.
func (c *Cluster) PodNetworks(ctx context.Context) ([]PodNetwork, error) {
	kube, err := c.Kube()
	if err != nil {
		return nil, err
	}
	if _, err := kube.AppsV1().DaemonSets(metav1.NamespaceSystem).Get(ctx, kindnet, metav1.GetOptions{}); apierrors.IsNotFound(err) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("reading kind's network plugin: %w", err)
	}
	nodes, err := kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("listing the cluster's nodes: %w", err)
	}
	networks := make([]PodNetwork, 0, len(nodes.Items))
	for i := range nodes.Items {
		networks = append(networks, podNetwork(&nodes.Items[i]))
	}
	return networks, nil
}

// podNetwork returns the node's pod network. It skips what is no subnet or no address.
func podNetwork(node *corev1.Node) PodNetwork {
	network := PodNetwork{Node: node.Name}
	for _, cidr := range node.Spec.PodCIDRs {
		if subnet, err := netip.ParsePrefix(cidr); err == nil {
			network.Subnets = append(network.Subnets, subnet)
		}
	}
	for _, address := range node.Status.Addresses {
		if parsed, err := netip.ParseAddr(address.Address); err == nil && address.Type == corev1.NodeInternalIP {
			network.Addresses = append(network.Addresses, parsed)
		}
	}
	return network
}
