package cluster

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/container"

	"kind-local-registry/config"
)

func TestStoppedNodes_AreInTheOrderOfTheirAddresses(t *testing.T) {
	t.Parallel()
	daemon, c := newCluster(t, true)
	for name, node := range map[string]struct{ ipv4, ipv6, started string }{
		"a-control-plane": {"172.18.0.10", "", "2026-11-28T19:15:01Z"}, "b-worker": {"172.18.0.9\n", "", "2026-11-28T19:15:02Z"},
		"c-worker": {"172.18.0.4", "fc00::1", "2026-11-28T19:15:03Z"}, "d-worker": {"", "fc00::2", "2026-11-27T23:00:00Z"},
		// Nodes that stored no address come first, in the order of their starts.
		"e-worker": {"", "", "2026-11-28T19:15:01.0125Z"}, "f-worker": {"", "", "2026-11-28T19:15:01.012Z"}, "g-worker": {},
	} {
		added := daemon.AddContainer(name, map[string]string{config.ClusterLabel: clusterName})
		added.State = &container.State{Status: container.StateExited, StartedAt: node.started}
		added.Files = map[string][]byte{"/kind/old-ipv4": []byte(node.ipv4), "/kind/old-ipv6": []byte(node.ipv6)}
	}
	daemon.AddContainer("running", map[string]string{config.ClusterLabel: clusterName})
	got, err := c.stoppedNodes(t.Context())
	want := []string{"g-worker", "f-worker", "e-worker", "c-worker", "b-worker", "a-control-plane", "d-worker"}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("stopped nodes: error %v, (-want +got):\n%s", err, diff)
	}
}
