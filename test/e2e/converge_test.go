//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/kind/pkg/cluster"
)

// convergeName is the name of a cluster that the tests put into various states.
const convergeName = "e2e-converge"

// clusterState is a state of a cluster in which setup up must converge. test/daemon has those of the registry and of nodes.
type clusterState struct {
	name    string
	put     func(t *testing.T)
	created bool // setup created the cluster
}

// TestConverge_FromStoppedNodes stops nodes of the cluster. Without E2E_FULL, it stops only all nodes, in two ways.
func TestConverge_FromStoppedNodes(t *testing.T) {
	states := []clusterState{
		{"all nodes stopped", func(t *testing.T) { t.Helper(); docker(t, "stop", "-t", "3", controlPlane, worker) }, true},
		{"nodes that exchanged their addresses stopped", exchangeAddresses, true},
		{"the worker stopped", func(t *testing.T) { t.Helper(); docker(t, "stop", worker) }, true},
		{"the control plane killed", func(t *testing.T) { t.Helper(); docker(t, "kill", controlPlane) }, true},
	}
	for i, state := range states[:count(2, len(states))] {
		wantConverges(t, &suite, clusterName, state, i)
	}
}

// exchangeAddresses makes the two nodes exchange their addresses, as Docker may when it restarts. It waits until Kubernetes knows the new
// addresses, and stops the nodes.
func exchangeAddresses(t *testing.T) {
	t.Helper()
	before := addresses(t)
	docker(t, "stop", "-t", "3", controlPlane, worker)
	nodes := byAddress(t, before)
	docker(t, "start", nodes[1])
	docker(t, "start", nodes[0])
	docker(t, "restart", "-t", "3", nodes[1]) // which now has the lower address, and was started last
	after := addresses(t)
	if after[controlPlane] != before[worker] || after[worker] != before[controlPlane] {
		t.Fatalf("addresses of the containers = %v, want those of the nodes exchanged: %v", after, before)
	}
	eventually(t, recoveryTimeout, "Kubernetes knows the nodes' addresses", func(ctx context.Context) string {
		for _, name := range nodes {
			node, err := suite.kube.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return err.Error()
			}
			if got := node.Status.Addresses[0].Address; !strings.HasPrefix(after[name], got+"/") {
				return name + " is still " + got
			}
		}
		return ""
	})
	docker(t, "stop", "-t", "3", controlPlane, worker)
}

// byAddress returns the names of the two nodes in the order of their addresses.
func byAddress(t *testing.T, addresses map[string]string) []string {
	t.Helper()
	nodes := []string{controlPlane, worker}
	slices.SortFunc(nodes, func(a, b string) int {
		return netip.MustParsePrefix(addresses[a]).Addr().Compare(netip.MustParsePrefix(addresses[b]).Addr())
	})
	return nodes
}

// TestConverge_FromEveryStateOfACluster puts a cluster into one state after the other. In the end, setup down must restore the files on the
// node.
func TestConverge_FromEveryStateOfACluster(t *testing.T) {
	needFull(t)
	other, node := otherCluster(t, convergeName), convergeName+"-control-plane"
	var before string
	stop := func(t *testing.T) { t.Helper(); docker(t, "stop", node) }
	for i, state := range []clusterState{
		{"absent", func(*testing.T) {}, true},
		{"stopped", stop, true},
		{"recreated under the same name", func(t *testing.T) {
			t.Helper()
			createByKind(t, other, convergeName, command(t, suite.setup, "kind-config"))
			before = nodeFiles(t, node)
		}, false},
		{"recreated and stopped", stop, false},
	} {
		wantConverges(t, &other, convergeName, state, i)
	}
	if t.Failed() {
		return
	}
	mustRun(t, &other, "down", "--cluster", convergeName)
	if got := clusters(t); !slices.Contains(got, convergeName) {
		t.Errorf("kind clusters after setup down = %q, want still %s, which kind has created", got, convergeName)
	}
	if diff := cmp.Diff(before, nodeFiles(t, node)); diff != "" {
		t.Errorf("files on the node, before setup up and after setup down (-before +after):\n%s", diff)
	}
}

// wantConverges puts the cluster into the state. It fails the test unless setup up makes everything healthy, so that a pod runs a new
// image, and a second setup up changes nothing.
func wantConverges(t *testing.T, e *environment, name string, state clusterState, number int) {
	t.Helper()
	t.Run(state.name, func(t *testing.T) {
		state.put(t)
		args, begin := []string{"--cluster", name, "--config", ""}, time.Now()
		if out, err := e.up(t.Context(), args...); err != nil {
			t.Fatalf("setup up: %v\n%s", err, out)
		}
		t.Logf("setup up took %.1f s", time.Since(begin).Seconds())
		origin := "adopted"
		if state.created {
			origin = "created by setup"
		}
		if status, err := e.run(t.Context(), "status", "--cluster", name); err != nil || !strings.Contains(status, origin) {
			t.Errorf("setup status = %v, want no error and a cluster that is %s:\n%s", err, origin, status)
		}
		if out, err := e.up(t.Context(), args...); err != nil || !strings.Contains(out, "Nothing to change") {
			t.Errorf("a second setup up: %v, want \"Nothing to change\":\n%s", err, out)
		}
		e.do(func() { wantRuns(t, fmt.Sprintf("%s-%d", name, number)) })
	})
}

// createByKind deletes the cluster if it exists, and creates another one under its name with a kind configuration, as a user of kind would.
func createByKind(t *testing.T, e environment, name, configuration string) {
	t.Helper()
	provider := cluster.NewProvider(cluster.ProviderWithDocker())
	if err := provider.Delete(name, e.kubeconfig); err != nil {
		t.Fatalf("deleting cluster %s: %v", name, err)
	}
	err := provider.Create(name, cluster.CreateWithRawConfig([]byte(configuration)),
		cluster.CreateWithNodeImage(e.nodeImage), cluster.CreateWithKubeconfigPath(e.kubeconfig),
		cluster.CreateWithWaitForReady(5*time.Minute))
	if err != nil {
		t.Fatalf("creating cluster %s: %v", name, err)
	}
}

// nodeFiles returns the names and digests of the node's files that setup up may change.
func nodeFiles(t *testing.T, node string) string {
	t.Helper()
	const script = `{ find /etc/containerd /etc/systemd/system -type f; ls /var/lib/kubelet/config.yaml*; } | sort | xargs sha256sum`
	return docker(t, "exec", node, "sh", "-c", script)
}
