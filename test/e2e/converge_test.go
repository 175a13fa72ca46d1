//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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

// TestConverge_FromStoppedNodes stops nodes of the cluster. Without E2E_FULL, it does so only once.
func TestConverge_FromStoppedNodes(t *testing.T) {
	states := []clusterState{
		{"all nodes stopped", func(t *testing.T) { t.Helper(); docker(t, "stop", "-t", "3", controlPlane, worker) }, true},
		{"the worker stopped", func(t *testing.T) { t.Helper(); docker(t, "stop", worker) }, true},
		{"the control plane killed", func(t *testing.T) { t.Helper(); docker(t, "kill", controlPlane) }, true},
	}
	for i, state := range states[:count(1, len(states))] {
		wantConverges(t, &suite, clusterName, state, i)
	}
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
