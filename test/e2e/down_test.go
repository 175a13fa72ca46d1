//go:build e2e

package e2e

import (
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Setup created this suite's cluster, so down would delete it. The test therefore turns the cluster into an adopted one whose
// containerd previously had another config_path.
func TestDown_OfAnAdoptedClusterLeavesOnlyTheRegistry(t *testing.T) {
	label(t, "created-by-setup-")
	t.Cleanup(func() { label(t, "created-by-setup=true") })
	upAfterwards(t)
	foreign := setForeignConfigPath(t, clusterName+"-worker")
	up(t)
	if got := containerdConfig(t, clusterName+"-worker"); got == foreign {
		t.Error("setup up left containerd's foreign config_path, want our own")
	}

	waiting := waitingPods(t, 3)
	if out, err := suite.run(t.Context(), "down", "--cluster", clusterName); err != nil {
		t.Fatalf("setup down: %v\n%s", err, out)
	}

	if got := docker(t, "ps", "-a", "--format", "{{.Names}}", "--filter", "label="+ours); got != "kind-registry" {
		t.Errorf("our containers = %q, want only kind-registry", got)
	}
	if got := docker(t, "volume", "ls", "-q", "--filter", "name=kind-registry"); got != "kind-registry\nkind-registry-socket" {
		t.Errorf("our volumes = %q, want only those of kind-registry", got)
	}
	if got := containerdConfig(t, clusterName+"-worker"); got != foreign {
		t.Errorf("containerd's configuration =\n%s\nwant\n%s", got, foreign)
	}
	for _, node := range nodeNames(t) {
		left := docker(t, "exec", node, "sh", "-c", "ls -d /etc/containerd/certs.d/localhost:5001 /etc/containerd/*kind-local-registry* 2>/dev/null || true")
		if left != "" {
			t.Errorf("files left on node %s: %s, want none", node, left)
		}
	}
	wantChartGone(t, time.Second)
	if _, err := suite.kube.CoreV1().ConfigMaps("kube-public").Get(t.Context(), "local-registry-hosting", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("getting the ConfigMap local-registry-hosting: %v, want not found", err)
	}
	for _, pod := range waiting {
		awaitRestored(t, pod, time.Second)
	}
	if status, err := suite.run(t.Context(), "status", "--cluster", clusterName); err == nil {
		t.Errorf("setup status after down succeeded, want an error:\n%s", status)
	}
}

// setForeignConfigPath sets config_path in the node's containerd configuration to a directory that is not ours, and returns the
// new content of that file.
func setForeignConfigPath(t *testing.T, node string) string {
	t.Helper()
	docker(t, "exec", node, "sh", "-ec", `printf '\n[plugins."io.containerd.grpc.v1.cri".registry]\n  config_path = "/etc/docker/certs.d"\n' \
		>>/etc/containerd/config.toml; systemctl restart containerd`)
	return containerdConfig(t, node)
}

func containerdConfig(t *testing.T, node string) string {
	t.Helper()
	return docker(t, "exec", node, "cat", "/etc/containerd/config.toml")
}

// label changes a label on the nodes. By that label, setup recognises a cluster that it created.
func label(t *testing.T, change string) {
	t.Helper()
	out, err := backgroundCommand("kubectl", "--kubeconfig", suite.kubeconfig, "label", "nodes", "--all", ours+"/"+change)
	if err != nil {
		t.Fatalf("labelling the nodes: %v\n%s", err, out)
	}
}

func nodeNames(t *testing.T) []string {
	t.Helper()
	list, err := suite.kube.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, node := range list.Items {
		names = append(names, node.Name)
	}
	return names
}
