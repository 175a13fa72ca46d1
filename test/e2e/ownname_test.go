//go:build e2e

package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestOwnName_RunsAfterADelivery runs an image under its original name on nodes whose kubelets have pulled it from our registry. First a
// pod in an excluded namespace runs it, and then, after setup down, a pod in any namespace. kind load has put it on the nodes.
func TestOwnName_RunsAfterADelivery(t *testing.T) {
	label(t, "created-by-setup-") // down must keep the cluster
	t.Cleanup(func() { label(t, "created-by-setup=true") })
	upAfterwards(t)
	image := buildImage(t, "e2e/own-name:local", "own-name", 1)
	for _, node := range []string{worker, controlPlane} {
		deliver(t, "delivered-"+node, onNode(node, image))
		kindLoad(t, node, image)
	}
	excluded := excludedNamespace(t, "own-name")
	for _, node := range []string{worker, controlPlane} {
		createPod(t, "excluded-"+node, excluded, onNode(node, image))
		wantOwnName(t, "excluded-"+node, excluded, image)
	}

	if out, err := suite.run(t.Context(), "down", "--cluster", clusterName, "--yes"); err != nil {
		t.Fatalf("setup down: %v\n%s", err, out)
	}

	for _, node := range []string{worker, controlPlane} {
		createPod(t, "after-down-"+node, namespace, onNode(node, image))
		wantOwnName(t, "after-down-"+node, namespace, image)
		left := docker(t, "exec", node, "sh", "-c", `cd /var/lib/kubelet; grep -rlE "localhost:5001/|kind-local-registry" config.yaml* image_manager || true`)
		if left != "" {
			t.Errorf("files with our names left on node %s: %s, want none", node, left)
		}
	}
}

// deliver runs a pod with a rewritten image, and deletes the pod.
func deliver(t *testing.T, name string, spec corev1.PodSpec) {
	t.Helper()
	createPod(t, name, namespace, spec)
	if got, image := awaitRunning(t, name, time.Minute).Spec.Containers[0].Image, spec.Containers[0].Image; !strings.HasPrefix(got, registry+"/"+image) {
		t.Fatalf("image of pod %s = %s, want %s in our registry", name, got, image)
	}
	deletePod(t, name, namespace)
}

// excludedNamespace creates a namespace whose pods are not rewritten.
func excludedNamespace(t *testing.T, name string) string {
	t.Helper()
	object := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"kind-local-registry/rewrite": "false"}}}
	if _, err := suite.kube.CoreV1().Namespaces().Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := suite.kube.CoreV1().Namespaces().Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
			t.Errorf("deleting namespace %s: %v", name, err)
		}
	})
	eventually(t, 30*time.Second, "the namespace has its service account", func(ctx context.Context) string {
		if _, err := suite.kube.CoreV1().ServiceAccounts(name).Get(ctx, "default", metav1.GetOptions{}); err != nil {
			return err.Error()
		}
		return ""
	})
	return name
}

// wantOwnName waits until the pod runs. It fails the test if the pod does not run the image under that name.
func wantOwnName(t *testing.T, pod, ns, image string) {
	t.Helper()
	eventually(t, time.Minute, "pod "+pod+" runs", func(ctx context.Context) string {
		found, err := suite.kube.CoreV1().Pods(ns).Get(ctx, pod, metav1.GetOptions{})
		switch {
		case err != nil:
			return err.Error()
		case found.Spec.Containers[0].Image != image:
			t.Fatalf("image of pod %s = %s, want %s", pod, found.Spec.Containers[0].Image, image)
		case found.Status.Phase != corev1.PodRunning:
			return describe(found)
		}
		return ""
	})
}
