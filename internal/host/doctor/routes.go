package doctor

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"kind-local-registry/internal/host/cluster"
	"kind-local-registry/internal/host/node"
	"kind-local-registry/internal/host/step"
)

// routes checks that packets for pods on other nodes go to those nodes. They do not if the nodes exchanged their addresses when Docker
// restarted, because kind's network plugin never corrects a route (https://github.com/kubernetes-sigs/kind/issues/2045).
func (n nodes) routes(ctx context.Context) (step.State, error) {
	networks, err := n.Cluster.PodNetworks(ctx)
	if err != nil {
		return step.State{}, err
	}
	if len(networks) == 0 {
		return step.State{OK: true, Detail: "not examined: the cluster does not use kind's network plugin"}, nil
	}
	var names []string
	for _, network := range networks {
		names = append(names, network.Node)
	}
	remedy := fmt.Sprintf("stop the nodes (docker stop %s), and run setup up, which starts them in the order of their addresses",
		strings.Join(names, " "))
	return n.each(func(ctx context.Context, one node.Node) (string, error) {
		gateways, err := one.Routes(ctx)
		if err != nil {
			return "", err
		}
		return misrouted(one.Name, gateways, networks), nil
	}, remedy, "pods on other nodes are reached through those nodes")(ctx)
}

// misrouted describes the first pod subnet of another node that the named node does not reach through that node, or returns "". gateways
// are the gateways of the named node's routes.
func misrouted(name string, gateways map[netip.Prefix]netip.Addr, networks []cluster.PodNetwork) string {
	for _, other := range networks {
		if other.Node == name {
			continue
		}
		for _, subnet := range other.Subnets {
			gateway, found := gateways[subnet]
			switch {
			case !found:
				return fmt.Sprintf("node %s has no route to the pods on %s (%s)", name, other.Node, subnet)
			case !slices.Contains(other.Addresses, gateway):
				return fmt.Sprintf("node %s sends packets for the pods on %s to %s, but that node is at %s", name, other.Node, gateway, list(other.Addresses))
			}
		}
	}
	return ""
}

// list returns the addresses, with commas between them.
func list(addresses []netip.Addr) string {
	var texts []string
	for _, address := range addresses {
		texts = append(texts, address.String())
	}
	return strings.Join(texts, ", ")
}
