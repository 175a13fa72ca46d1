// Command kindnetd replaces kind's network daemon of the same name on machines that cannot pull it. It only connects the pods
// of a kind cluster: it writes this node's CNI configuration and maintains a route to every other node's pod subnets (one of each IP
// family that the cluster uses). It enforces no NetworkPolicy.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

const (
	interval   = 5 * time.Second // between two updates
	retry      = 1 * time.Second // after a failed update
	configPath = "/etc/cni/net.d/10-kindnet.conflist"

	// config is the CNI network configuration list. The verbs stand for the default routes and the node's pod subnets, in JSON.
	config = `{
  "cniVersion": "0.3.1",
  "name": "kindnet",
  "plugins": [
    {
      "type": "ptp",
      "ipMasq": true,
      "ipam": {
        "type": "host-local",
        "dataDir": "/run/cni-ipam-state",
        "routes": [%s],
        "ranges": [%s]
      }
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
`
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, net.ParseIP(os.Getenv("HOST_IP")))
	stop()
	if err != nil {
		slog.Error("kindnetd failed", "error", err)
		os.Exit(1)
	}
}

// run updates the node every interval until ctx ends. It logs errors and tries again after retry: until kube-proxy runs, the
// API server's service address does not answer.
func run(ctx context.Context, hostIP net.IP) error {
	clientConfig, err := rest.InClusterConfig()
	if err != nil {
		return fmt.Errorf("reading the service account: %w", err)
	}
	clientConfig.Timeout = interval
	client, err := kubernetes.NewForConfig(clientConfig)
	if err != nil {
		return fmt.Errorf("creating the API client: %w", err)
	}
	for {
		pause := interval
		if err := update(ctx, client, hostIP); err != nil {
			slog.Warn("cannot update the node", "error", err)
			pause = retry
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// update writes the CNI configuration if a node has hostIP, and sets a route to each other node.
func update(ctx context.Context, client kubernetes.Interface, hostIP net.IP) error {
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("listing nodes: %w", err)
	}
	var faults []error
	for i := range nodes.Items {
		subnets, addresses, err := network(&nodes.Items[i])
		switch {
		case err != nil:
			faults = append(faults, err)
		case len(subnets) == 0 || len(addresses) == 0: // the node has just joined: the next update handles it
		case slices.ContainsFunc(addresses, hostIP.Equal):
			faults = append(faults, writeConfig(configPath, subnets))
		default:
			faults = append(faults, route(subnets, addresses))
		}
	}
	return errors.Join(faults...)
}

// network returns the pod subnets of a node, and the addresses at which other nodes reach it. A node has one of each family (IPv4, IPv6)
// that the cluster uses.
func network(node *corev1.Node) (subnets []*net.IPNet, addresses []net.IP, err error) {
	for _, cidr := range node.Spec.PodCIDRs {
		_, subnet, err := net.ParseCIDR(cidr)
		if err != nil {
			return nil, nil, fmt.Errorf("parsing a pod subnet of node %s: %w", node.Name, err)
		}
		subnets = append(subnets, subnet)
	}
	for _, address := range node.Status.Addresses {
		if address.Type == corev1.NodeInternalIP {
			addresses = append(addresses, net.ParseIP(address.Address))
		}
	}
	return subnets, addresses, nil
}

// isIPv4 reports whether the address is an IPv4 address.
func isIPv4(address net.IP) bool { return address.To4() != nil }

// writeConfig writes the CNI configuration for the pod subnets to path unless the file already has it. A pod gets an address in each
// subnet, and a default route of the same family.
func writeConfig(path string, subnets []*net.IPNet) error {
	var routes, ranges []string
	for _, subnet := range subnets {
		destination := "::/0"
		if isIPv4(subnet.IP) {
			destination = "0.0.0.0/0"
		}
		routes = append(routes, fmt.Sprintf(`{"dst": %q}`, destination))
		ranges = append(ranges, fmt.Sprintf(`[{"subnet": %q}]`, subnet))
	}
	want := fmt.Sprintf(config, strings.Join(routes, ", "), strings.Join(ranges, ", "))
	if got, err := os.ReadFile(path); err == nil && string(got) == want {
		return nil
	}
	// containerd may read the directory at any time and must never see half a file.
	if err := os.WriteFile(path+".tmp", []byte(want), 0o600); err != nil {
		return fmt.Errorf("writing CNI configuration: %w", err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return fmt.Errorf("writing CNI configuration: %w", err)
	}
	slog.Info("wrote CNI configuration", "path", path, "subnets", subnets)
	return nil
}

// route sets a route to each subnet through the node that has the addresses.
func route(subnets []*net.IPNet, addresses []net.IP) error {
	var faults []error
	for _, subnet := range subnets {
		i := slices.IndexFunc(addresses, func(address net.IP) bool { return isIPv4(address) == isIPv4(subnet.IP) })
		if i < 0 {
			continue // the node has just joined
		}
		if err := netlink.RouteReplace(&netlink.Route{Dst: subnet, Gw: addresses[i]}); err != nil {
			faults = append(faults, fmt.Errorf("routing %s via %s: %w", subnet, addresses[i], err))
		}
	}
	return errors.Join(faults...)
}
