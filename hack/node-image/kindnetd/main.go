// Command kindnetd replaces kind's network daemon of the same name on machines that cannot pull it. It only connects the pods
// of a kind cluster: it writes this node's CNI configuration and maintains a route to every other node's pod subnet. It
// supports one IPv4 subnet per node and enforces no NetworkPolicy.
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
	interval   = 5 * time.Second // between two updates
	retry      = 1 * time.Second // after a failed update
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
		slog.Error("kindnetd failed", "error", err)
		os.Exit(1)
	}
}

// run updates the node every interval until ctx ends. It logs errors and tries again after retry: until kube-proxy runs, the
// API server's service address does not answer.
func run(ctx context.Context, hostIP string) error {
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
		case subnet == "" || ip == "": // the node has just joined: the next update handles it
		case ip == hostIP:
			faults = append(faults, writeConfig(configPath, subnet))
		default:
			faults = append(faults, route(subnet, ip))
		}
	}
	return errors.Join(faults...)
}

// internalIP returns the address at which other nodes reach node, or "".
func internalIP(node *corev1.Node) string {
	for _, address := range node.Status.Addresses {
		if address.Type == corev1.NodeInternalIP {
			return address.Address
		}
	}
	return ""
}

// writeConfig writes the CNI configuration for subnet to path unless the file already has it.
func writeConfig(path, subnet string) error {
	want := fmt.Sprintf(config, subnet)
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
	slog.Info("wrote CNI configuration", "path", path, "subnet", subnet)
	return nil
}

// route sets a route to subnet through the node at gateway.
func route(subnet, gateway string) error {
	_, destination, err := net.ParseCIDR(subnet)
	if err != nil {
		return fmt.Errorf("parsing pod subnet: %w", err)
	}
	if err := netlink.RouteReplace(&netlink.Route{Dst: destination, Gw: net.ParseIP(gateway)}); err != nil {
		return fmt.Errorf("routing %s via %s: %w", subnet, gateway, err)
	}
	return nil
}
