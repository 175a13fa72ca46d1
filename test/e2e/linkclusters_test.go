//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/kind/pkg/cluster"
)

// secondName is the name of a second cluster.
const secondName = "e2e-second"

// TestLink_ServesTwoClusters creates a second cluster, links an image to both clusters, and deletes the second cluster as users of kind do.
// Other tests run setup down for a second cluster, and recreate a cluster under its name.
func TestLink_ServesTwoClusters(t *testing.T) {
	needLinker(t)
	before := listOurContainers(t)
	second := upSecond(t)
	if after := listOurContainers(t); after != before {
		t.Errorf("our containers after setup up of a second cluster =\n%s\nwant\n%s", after, before)
	}
	image := buildImage(t, "e2e/two-clusters:local", "two", 5)
	second.do(func() { wantPodLinked(t, "in-second", image, secondName+"-control-plane") })
	wantPodLinked(t, "in-first", image, worker)

	provider := cluster.NewProvider(cluster.ProviderWithDocker())
	if err := provider.Delete(secondName, second.kubeconfig); err != nil {
		t.Fatal(err)
	}
	// The linker may still have the deleted node in its list when it looks for layers that Docker does not have.
	running := awaitRunning(t, "in-first", time.Minute)
	eventually(t, time.Minute, "the registry gets the image", func(ctx context.Context) string { return inRegistry(ctx, running) })
	removeImage(t, image)
	wantPodLinked(t, "after-kind-delete", running.Spec.Containers[0].Image, controlPlane)
	if after := listOurContainers(t); after != before {
		t.Errorf("our containers after the deletion of the second cluster =\n%s\nwant\n%s", after, before)
	}
}

// TestLink_FindsANodeThatIsAddedLater adds a third node to the cluster, and links an image to all three.
func TestLink_FindsANodeThatIsAddedLater(t *testing.T) {
	needLinker(t)
	upAfterwards(t)
	added := addNode(t)
	out, err := suite.run(t.Context(), "status", "--cluster", clusterName)
	if want := "node " + added + " does not have our"; err == nil || !strings.Contains(out, want) {
		t.Errorf("setup status with a new node: %v, want %q:\n%s", err, want, out)
	}
	up(t)

	image := buildImage(t, "e2e/three-nodes:local", "three", 5)
	begin := time.Now()
	createDeployment(t, deployment("three-nodes", image, 3))
	var nodes []string
	for _, pod := range awaitPods(t, "three-nodes", 3, "") {
		nodes = append(nodes, pod.Spec.NodeName)
		wantLinked(t, begin, pod.Spec.NodeName)
	}
	if slices.Sort(nodes); !slices.Equal(nodes, []string{controlPlane, worker, added}) {
		t.Errorf("the pods run on %q, want one on each node", nodes)
	}
	out, err = suite.run(t.Context(), "status", "--cluster", clusterName)
	if want := "layers are linked to 3 of 3 nodes"; err != nil || !strings.Contains(out, want) {
		t.Errorf("setup status: %v, want %q:\n%s", err, want, out)
	}
}

// otherCluster returns the environment of another cluster, which need not exist yet. It has its own kubeconfig, because kind changes the
// current context. The cluster is deleted when the test ends.
func otherCluster(t *testing.T, name string) environment {
	t.Helper()
	other := suite
	other.kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	t.Cleanup(func() {
		if err := cluster.NewProvider(cluster.ProviderWithDocker()).Delete(name, other.kubeconfig); err != nil {
			t.Errorf("deleting cluster %s: %v", name, err)
		}
	})
	return other
}

// upSecond creates a second cluster with one node. The cluster is deleted when the test ends.
func upSecond(t *testing.T) environment {
	t.Helper()
	second := otherCluster(t, secondName)
	start := time.Now()
	if out, err := second.up(t.Context(), "--cluster", secondName, "--config", ""); err != nil {
		t.Fatalf("setup up --cluster %s: %v\n%s", secondName, err, out)
	}
	t.Logf("cluster %s created in %s", secondName, time.Since(start).Round(time.Second))
	return second
}

// do makes the functions of this package use another cluster while f runs.
func (e environment) do(f func()) {
	first := suite
	defer func() { suite = first }()
	suite = e
	f()
}

// wantPodLinked runs a pod on the node. It fails the test unless the pod was never gated, and the image was linked to the node.
func wantPodLinked(t *testing.T, name, image, node string) {
	t.Helper()
	begin := time.Now()
	created, _ := createPod(t, name, namespace, onNode(node, image))
	if len(created.Spec.SchedulingGates) > 0 || !strings.Contains(created.Spec.Containers[0].Image, "@sha256:") {
		t.Errorf("the new pod is %s, want it pinned and without a gate", describe(created))
	}
	awaitRunning(t, name, time.Minute)
	wantLinked(t, begin, node)
}

// listOurContainers lists our containers with their IDs and when they were started.
func listOurContainers(t *testing.T) string {
	t.Helper()
	ids := strings.Fields(docker(t, "ps", "-aq", "--no-trunc", "--filter", "label="+ours))
	return docker(t, append([]string{"inspect", "--format", "{{.Name}} {{.Id}} {{.State.StartedAt}}"}, ids...)...)
}

// addNode adds a worker to the cluster, and returns its name. kind cannot do this, so the node is made like kind's own workers: with
// the same image, flags and labels (sigs.k8s.io/kind/pkg/cluster/internal/providers/docker/provision.go). It is removed when the test
// ends.
func addNode(t *testing.T) string {
	t.Helper()
	const name = clusterName + "-worker2"
	t.Cleanup(func() {
		for _, undo := range [][]string{
			{"kubectl", "--kubeconfig", suite.kubeconfig, "delete", "node", name, "--ignore-not-found"}, {"docker", "rm", "-f", "-v", name},
		} {
			if out, err := backgroundCommand(undo[0], undo[1:]...); err != nil {
				t.Errorf("%s: %v\n%s", strings.Join(undo, " "), err, out)
			}
		}
	})
	start := time.Now()
	docker(t, "run", "--detach", "--tty", "--name", name, "--hostname", name, "--label", "io.x-k8s.kind.cluster="+clusterName,
		"--label", "io.x-k8s.kind.role=worker", "--net", "kind", "--restart", "on-failure:1", "--init=false", "--privileged",
		"--cgroupns", "private", "--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined", "--tmpfs", "/tmp",
		"--tmpfs", "/run", "--volume", "/var", "--volume", "/lib/modules:/lib/modules:ro", suite.nodeImage)
	eventually(t, time.Minute, "containerd on "+name+" answers", func(ctx context.Context) string {
		if out, err := exec.CommandContext(ctx, "docker", "exec", name, "crictl", "info").CombinedOutput(); err != nil {
			return fmt.Sprintf("%v: %s", err, out)
		}
		return ""
	})
	join := docker(t, "exec", controlPlane, "kubeadm", "token", "create", "--print-join-command")
	docker(t, append([]string{"exec", name}, append(strings.Fields(join), "--ignore-preflight-errors", "all")...)...)
	kubectl(t, "wait", "node", name, "--for", "create", "--timeout", "2m") // the kubelet registers it after kubeadm join has returned
	kubectl(t, "wait", "node", name, "--for", "condition=Ready", "--timeout", "2m")
	t.Logf("node %s Ready after %s", name, time.Since(start).Round(time.Second))
	return name
}
