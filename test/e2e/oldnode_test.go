//go:build e2e

package e2e

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// oldImage is a node image with Kubernetes 1.27.3 and containerd 1.7.1, like the default one of kind 0.20.
	oldImage = "kind-local-registry/node:v1.27.3"
	// oldName is the name of a cluster whose nodes have oldImage.
	oldName = "e2e-old"

	oldControlPlane, oldWorker = oldName + "-control-plane", oldName + "-worker"
	// oldConfig is a kind configuration that contains nothing of ours.
	oldConfig = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes: [{role: control-plane}, {role: worker}]\n"
)

// TestOldNode_IsAdoptedServedAndRestored adopts a cluster of kind's with old nodes. setup up must restart containerd on these nodes. setup
// down must restore the files on them.
func TestOldNode_IsAdoptedServedAndRestored(t *testing.T) {
	old := oldCluster(t)
	createByKind(t, old, oldName, oldConfig)
	before := map[string]string{oldControlPlane: nodeFiles(t, oldControlPlane), oldWorker: nodeFiles(t, oldWorker)}

	out := upOld(t, &old, "adopted")
	if want := "on a control plane, setup waits"; !strings.Contains(out, want) {
		t.Errorf("setup up announces no wait for the control plane, want %q:\n%s", want, out)
	}
	old.do(func() { wantServed(t, "adopted", oldControlPlane, oldWorker) })

	mustRun(t, &old, "down", "--cluster", oldName)
	if _, err := old.kube.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Errorf("after setup down, the API server does not answer: %v", err)
	}
	for node, files := range before {
		if diff := cmp.Diff(files, nodeFiles(t, node)); diff != "" {
			t.Errorf("files on node %s, before setup up and after setup down (-before +after):\n%s", node, diff)
		}
	}
}

// TestOldNode_IsCreatedAndServed lets setup up create a cluster with an old node.
func TestOldNode_IsCreatedAndServed(t *testing.T) {
	old := oldCluster(t)
	upOld(t, &old, "created by setup")
	old.do(func() { wantServed(t, "created", oldControlPlane) })
	mustRun(t, &old, "down", "--cluster", oldName, "--yes")
	if got := clusters(t); strings.Contains(strings.Join(got, " "), oldName) {
		t.Errorf("kind clusters after setup down = %q, want none of name %s", got, oldName)
	}
}

// oldCluster returns the environment of a cluster with old nodes that does not exist yet. It skips the test if Docker does not have
// their image.
func oldCluster(t *testing.T) environment {
	t.Helper()
	needFull(t)
	if err := exec.CommandContext(t.Context(), "docker", "image", "inspect", oldImage).Run(); err != nil {
		t.Skipf("SKIP: Docker does not have %s: build it with hack/node-image.sh --old", oldImage)
	}
	up(t)
	old := otherCluster(t, oldName)
	old.nodeImage = oldImage
	return old
}

// upOld runs setup up, and returns its output. A second setup up must change nothing.
func upOld(t *testing.T, old *environment, origin string) string {
	t.Helper()
	args, begin := []string{"--cluster", oldName, "--config", ""}, time.Now()
	first, err := old.up(t.Context(), args...)
	if err != nil {
		t.Fatalf("setup up: %v\n%s", err, first)
	}
	t.Logf("setup up took %.1f s:\n%s", time.Since(begin).Seconds(), first)
	status, err := old.run(t.Context(), "status", "--cluster", oldName)
	if err != nil || !strings.Contains(status, origin) || !strings.Contains(status, "containerd 1.7.1") {
		t.Errorf("setup status: %v, want no error, containerd 1.7.1, and a cluster that is %s:\n%s", err, origin, status)
	}
	if out, err := old.up(t.Context(), args...); err != nil || !strings.Contains(out, "Nothing to change") {
		t.Errorf("a second setup up: %v, want \"Nothing to change\":\n%s", err, out)
	}
	return first
}

// wantServed runs an image of the host on each node, rebuilds it, and runs it there again.
func wantServed(t *testing.T, name string, nodes ...string) {
	t.Helper()
	ran := map[string]bool{}
	for _, build := range []string{"first", "second"} {
		begin := time.Now() // a rebuilt image is linked before a pod needs it
		image := buildImage(t, "e2e/old-"+name+":local", build, 5)
		for i, node := range nodes {
			pod := fmt.Sprintf("%s-%s-%d", name, build, i)
			createPod(t, pod, namespace, onNode(node, image))
			running := awaitRunning(t, pod, time.Minute)
			if !pinned(running, image) {
				t.Errorf("pod %s runs %s, want it from the registry, by digest", pod, running.Spec.Containers[0].Image)
			}
			if linking() {
				wantLinked(t, begin, node)
			}
			ran[running.Spec.Containers[0].Image] = true
		}
	}
	if len(ran) != 2 {
		t.Errorf("two builds of an image ran as %v, want two digests", ran)
	}
}
