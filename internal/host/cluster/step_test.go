package cluster

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/container"

	"kind-local-registry/config"
)

func TestStoppedNodes_AreInTheOrderOfTheirStarts(t *testing.T) {
	t.Parallel()
	daemon, c := newCluster(t, true)
	for name, started := range map[string]string{
		"a-worker": "2026-11-28T19:15:01.0125Z", "b-control-plane": "2026-11-28T19:15:01.012Z", "c-worker": "2026-11-27T23:00:00Z", "d-worker": "",
	} {
		added := daemon.AddContainer(name, map[string]string{config.ClusterLabel: clusterName})
		added.State = &container.State{Status: container.StateExited, StartedAt: started}
	}
	daemon.AddContainer("running", map[string]string{config.ClusterLabel: clusterName})
	got, err := c.stoppedNodes(t.Context())
	if diff := cmp.Diff([]string{"d-worker", "c-worker", "b-control-plane", "a-worker"}, got); err != nil || diff != "" {
		t.Errorf("stopped nodes: error %v, (-want +got):\n%s", err, diff)
	}
}

func TestStoppedNodes_AreInTheOrderOfTheirAddresses(t *testing.T) {
	t.Parallel()
	daemon, c := newCluster(t, true)
	for name, address := range map[string]string{
		"a-control-plane": "172.18.0.10", "b-worker": "172.18.0.9\n", "c-worker": "172.18.0.4", "d-worker": "",
	} {
		added := daemon.AddContainer(name, map[string]string{config.ClusterLabel: clusterName})
		added.State = &container.State{Status: container.StateExited, StartedAt: "2026-11-28T19:15:01Z"}
		added.Files = map[string][]byte{"/kind/old-ipv4": []byte(address)}
	}
	daemon.Containers["d-worker"].Files["/kind/old-ipv6"] = []byte("fc00::2")
	got, err := c.stoppedNodes(t.Context())
	if diff := cmp.Diff([]string{"c-worker", "b-worker", "a-control-plane", "d-worker"}, got); err != nil || diff != "" {
		t.Errorf("stopped nodes: error %v, (-want +got):\n%s", err, diff)
	}
}
