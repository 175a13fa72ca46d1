package docker

import (
	"context"
	"fmt"
	"net/netip"
	"path"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// clusterLabel is the label of kind's nodes whose value is the name of their cluster.
const clusterLabel = "io.x-k8s.kind.cluster"

// Node is the running container of a kind node.
type Node struct {
	// Name is the container's name, and Cluster is the kind cluster's name.
	Name, Cluster string
	// PID is the ID of the container's first process in the host's PID namespace.
	PID int
	// Addresses are its addresses on Docker's networks.
	Addresses []string

	mounts []container.MountPoint
}

// Nodes returns the running nodes of all kind clusters.
func (c *Client) Nodes(ctx context.Context) ([]Node, error) {
	listed, err := c.api.ContainerList(ctx, client.ContainerListOptions{Filters: client.Filters{}.Add("label", clusterLabel)})
	if err != nil {
		return nil, fmt.Errorf("listing the kind nodes: %w", err)
	}
	var nodes []Node
	for _, found := range listed.Items {
		inspected, err := c.api.ContainerInspect(ctx, found.ID, client.ContainerInspectOptions{})
		if err != nil || inspected.Container.State == nil || inspected.Container.State.Pid == 0 {
			continue // it has just stopped
		}
		node := Node{
			Name: strings.TrimPrefix(inspected.Container.Name, "/"), Cluster: found.Labels[clusterLabel],
			PID: inspected.Container.State.Pid, mounts: inspected.Container.Mounts,
		}
		for _, endpoint := range inspected.Container.NetworkSettings.Networks {
			for _, address := range []netip.Addr{endpoint.IPAddress, endpoint.GlobalIPv6Address} {
				if address.IsValid() {
					node.Addresses = append(node.Addresses, address.String())
				}
			}
		}
		nodes = append(nodes, node)
	}
	return nodes, nil
}

// HostPath returns where on the daemon's host a file of the node is. file is an absolute path on the node. If it is on none of
// the node's mounts, HostPath returns false. It does not follow symbolic links.
func (n Node) HostPath(file string) (string, bool) {
	file = path.Clean(file) // so that ".." cannot lead out of a mount
	var longest container.MountPoint
	for _, m := range n.mounts {
		below := file == m.Destination || strings.HasPrefix(file, strings.TrimSuffix(m.Destination, "/")+"/")
		if below && len(m.Destination) > len(longest.Destination) {
			longest = m
		}
	}
	if longest.Source == "" {
		return "", false
	}
	return path.Join(longest.Source, strings.TrimPrefix(file, longest.Destination)), true
}
