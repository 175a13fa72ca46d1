//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kind-local-registry/config"
)

func TestHeal_RunsPodsCreatedDuringAWebhookOutage(t *testing.T) {
	image := buildImage(t, "e2e/unseen:local", "hello")
	t.Cleanup(func() { scale(t, 1) })
	scale(t, 0)
	const pods = 30
	for i := range pods {
		spec := podSpec(image)
		if i%3 == 0 {
			spec.InitContainers = []corev1.Container{{Name: "prepare", Image: image, Args: []string{"--once"}}}
		}
		if created, _ := createPod(t, fmt.Sprintf("unseen-%d", i), namespace, spec); created.Spec.Containers[0].Image != image {
			t.Fatalf("pod %s was rewritten while the webhook was down", created.Name)
		}
	}
	awaitUnpullable(t, "unseen-1")
	scale(t, 1)

	start := time.Now()
	for i := range pods {
		pod := awaitRunning(t, fmt.Sprintf("unseen-%d", i), time.Minute-time.Since(start))
		if got := pod.Spec.Containers[0].Image; !strings.HasPrefix(got, registry+"/"+image+"@sha256:") {
			t.Errorf("image of pod %s = %s, want an image from the registry, by digest, and one healing", pod.Name, got)
		}
	}
	t.Logf("all %d pods ran %s after the webhook was back", pods, time.Since(start).Round(time.Second))
}

// TestHeal_RunsAPodWhoseImageIsBuiltLater builds the image when the kubelet's next attempt is about 30 s away.
func TestHeal_RunsAPodWhoseImageIsBuiltLater(t *testing.T) {
	t.Parallel()
	const image = "e2e/built-later:local"
	createPod(t, "built-later", namespace, podSpec(image))
	awaitUnpullable(t, "built-later")
	time.Sleep(35 * time.Second) // the kubelet's pauses are 10 s, 20 s and 40 s
	awaitUnpullable(t, "built-later")

	loadImage(t, image, 1)
	start := time.Now()
	awaitRunning(t, "built-later", time.Minute)
	took := time.Since(start)
	if took > 10*time.Second {
		t.Errorf("the pod ran %s after the build, want at most 10 s", took)
	}
	t.Logf("the pod ran %s after the build", took.Round(10*time.Millisecond))
}

// awaitUnpullable waits until the kubelet reports that it cannot pull one of the pod's images.
func awaitUnpullable(t *testing.T, name string) {
	t.Helper()
	eventually(t, time.Minute, "the kubelet reports ImagePull errors", func(ctx context.Context) string {
		pod, err := suite.kube.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		if problem := describe(pod); !strings.Contains(problem, "ImagePull") {
			return problem
		}
		return ""
	})
}

func TestHeal_RunsAPodWhoseImageTheRegistryLost(t *testing.T) {
	image := buildImage(t, "e2e/lost:local", "hello")
	command(t, suite.setup, "push", image)
	spec := podSpec(image)
	spec.NodeSelector = map[string]string{"waits": "for-its-node"} // keeps the pod unscheduled until the registry is empty
	pod, _ := createPod(t, "lost", namespace, spec)
	if got := pod.Spec.Containers[0].Image; !strings.HasPrefix(got, registry+"/"+image+"@sha256:") {
		t.Fatalf("image of the pod = %s, want it from the registry, by digest", got)
	}
	replaceRegistry(t)
	labelWorker(t, "waits", "for-its-node")
	awaitRunning(t, "lost", time.Minute)
}

// replaceRegistry removes the registry with its volume and creates an empty registry.
func replaceRegistry(t *testing.T) {
	t.Helper()
	docker(t, "rm", "-f", config.RegistryContainer)
	docker(t, "volume", "rm", config.RegistryContainer)
	up(t)
}

// labelWorker labels the worker node until the test ends.
func labelWorker(t *testing.T, key, value string) {
	t.Helper()
	node := "node/" + clusterName + "-worker"
	command(t, "kubectl", "--kubeconfig", suite.kubeconfig, "label", node, key+"="+value)
	t.Cleanup(func() { _, _ = backgroundCommand("kubectl", "--kubeconfig", suite.kubeconfig, "label", node, key+"-") })
}
