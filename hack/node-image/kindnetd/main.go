// Command kindnetd is not kind's network daemon of that name but a stand-in, for machines that cannot pull it. It does
// what makes the pods of a kind cluster reach each other and nothing else: it writes this node's CNI configuration and
// keeps a route to the pod subnet of every other node. It knows one IPv4 subnet a node, and enforces no NetworkPolicy.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

const (
	interval   = 5 * time.Second // between two looks at the nodes
	retry      = 1 * time.Second // ... after one that did not succeed
	configPath = "/etc/cni/net.d/10-kindnet.conflist"

	// config is the CNI network configuration list; %q is the pod subnet of the node.
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
        "routes": [{"dst": "0.0.0.0/0"}],
        "ranges": [[{"subnet": %q}]]
      }
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
`
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Getenv("HOST_IP"))
	stop()
	if err != nil {
		slog.Error("kindnetd ended", "error", err)
		os.Exit(1)
	}
}

// run brings the node up to date every interval until ctx ends. Faults are logged, and met anew after retry: at first the
// API server's service address does not answer, for kube-proxy is not up yet.
func run(ctx context.Context, hostIP string) error {
	clientConfig, err := rest.InClusterConfig()
	if err != nil {
		return fmt.Errorf("reading the service account: %w", err)
	}
	clientConfig.Timeout = interval
	client, err := kubernetes.NewForConfig(clientConfig)
	if err != nil {
		return fmt.Errorf("making the API client: %w", err)
	}
	for {
		pause := interval
		if err := update(ctx, client, hostIP); err != nil {
			slog.Warn("node is not up to date", "error", err)
			pause = retry
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// update writes the CNI configuration of the node with hostIP, and a route to each of the others.
func update(ctx context.Context, client kubernetes.Interface, hostIP string) error {
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("listing nodes: %w", err)
	}
	var faults []error
	for i := range nodes.Items {
		node := &nodes.Items[i]
		subnet, ip := node.Spec.PodCIDR, internalIP(node)
		switch {
		case subnet == "" || ip == "": // a node that has just joined: the next turn sees it
		case ip == hostIP:
			faults = append(faults, writeConfig(configPath, subnet))
		default:
			faults = append(faults, route(subnet, ip))
		}
	}
	return errors.Join(faults...)
}

// internalIP is the address that the other nodes reach node by, or "".
func internalIP(node *corev1.Node) string {
	for _, address := range node.Status.Addresses {
		if address.Type == corev1.NodeInternalIP {
			return address.Address
		}
	}
	return ""
}

// writeConfig writes the CNI configuration for subnet to path, unless that is what it holds.
func writeConfig(path, subnet string) error {
	want := fmt.Sprintf(config, subnet)
	if got, err := os.ReadFile(path); err == nil && string(got) == want {
		return nil
	}
	// containerd reads the directory at any time: let it see a whole file only
	if err := os.WriteFile(path+".tmp", []byte(want), 0o600); err != nil {
		return fmt.Errorf("writing CNI configuration: %w", err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return fmt.Errorf("writing CNI configuration: %w", err)
	}
	slog.Info("wrote CNI configuration", "path", path, "subnet", subnet)
	return nil
}

// route sends what is for subnet to the node at gateway.
func route(subnet, gateway string) error {
	_, destination, err := net.ParseCIDR(subnet)
	if err != nil {
		return fmt.Errorf("reading pod subnet: %w", err)
	}
	if err := netlink.RouteReplace(&netlink.Route{Dst: destination, Gw: net.ParseIP(gateway)}); err != nil {
		return fmt.Errorf("routing %s via %s: %w", subnet, gateway, err)
	}
	return nil
}
