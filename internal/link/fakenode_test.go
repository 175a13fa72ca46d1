package link

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"testing"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"kind-local-registry/internal/host/engine/enginetest"
)

// fakeNode is a kind node with a fake containerd.
type fakeNode struct {
	*fakeContainerd

	address   string
	container *enginetest.Container
}

// startNode starts a node that ends with the test. In the directory proc, the node's first process has the ID pid. volume is the host
// path of the node's /var.
func startNode(t *testing.T, daemon *enginetest.Daemon, proc string, pid int, volume string) *fakeNode {
	t.Helper()
	n := &fakeNode{address: fmt.Sprintf("172.18.0.%d", pid), fakeContainerd: &fakeContainerd{
		name: fmt.Sprintf("kind-worker%d", pid), namespace: "k8s.io", directories: nodeSnapshots,
		hostPath: func(name string) string { return filepath.Join(volume, name[len("/var"):]) },
	}}
	n.start(t, fmt.Sprintf("%s/%d/root%s", proc, pid, nodeSocket))
	n.container = daemon.AddContainer(n.name, map[string]string{"io.x-k8s.kind.cluster": "kind"})
	n.container.State.Pid = pid
	n.container.Mounts = []container.MountPoint{{Destination: "/var", Source: volume}, {Destination: "/lib/modules", Source: "/lib/modules"}}
	n.container.NetworkSettings.Networks["kind"] = &network.EndpointSettings{IPAddress: netip.MustParseAddr(n.address)}
	n.add("base", "", fakeSnapshot{kind: snapshotsapi.Kind_COMMITTED})
	return n
}
