//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// podManifest writes the manifest of a pod with one container to a file, and returns the file's path.
func podManifest(t *testing.T, name, image string) string {
	t.Helper()
	manifest := fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata: {name: %s, namespace: %s}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: app, image: %q, imagePullPolicy: IfNotPresent}]
`, name, namespace, image)
	file := filepath.Join(t.TempDir(), "pod.yaml")
	if err := os.WriteFile(file, []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { deletePod(t, name, namespace) })
	return file
}

func TestPod_KeepsRunningWhenReapplied(t *testing.T) {
	t.Parallel()
	image := loadImage(t, "e2e/applied:local", 1)
	for name, again := range map[string][]string{
		"apply":             {"apply", "-f", "FILE"},
		"apply-server-side": {"apply", "--server-side", "--force-conflicts", "-f", "FILE"},
		"set-image":         {"set", "image", "pod/set-image", "app=" + image},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := podManifest(t, name, image)
			kubectl(t, "apply", "-f", file)
			before := awaitRunning(t, name, time.Minute)
			for range 2 {
				kubectl(t, strings.Split(strings.ReplaceAll(strings.Join(again, " "), "FILE", file), " ")...)
			}
			after, err := suite.kube.CoreV1().Pods(namespace).Get(t.Context(), name, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if got, want := after.Spec.Containers[0].Image, before.Spec.Containers[0].Image; got != want || !strings.HasPrefix(got, registry+"/") {
				t.Errorf("image = %s, want %s, the running one", got, want)
			}
			wantStable(t, name, 0)
		})
	}
}

// wantStable fails the test unless the pod's container has the given number of restarts and stays ready for 5 s. The kubelet
// takes less time than that to act on a change.
func wantStable(t *testing.T, name string, restarts int32) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(time.Second) {
		pod := awaitRunning(t, name, time.Minute)
		if got := pod.Status.ContainerStatuses[0]; got.RestartCount != restarts || !got.Ready {
			t.Fatalf("pod %s: restarts = %d, ready = %v, want %d and true", name, got.RestartCount, got.Ready, restarts)
		}
	}
}

func TestPod_RunsTheHostsImageAfterAnUpdate(t *testing.T) {
	first := buildImage(t, "e2e/update-one:local", "one")
	second := buildImage(t, "e2e/update-two:local", "two", 40)
	createPod(t, "updated", namespace, podSpec(first))
	awaitRunning(t, "updated", time.Minute)
	kubectl(t, "set", "image", "pod/updated", "app="+second)
	eventually(t, time.Minute, "the second image runs", func(ctx context.Context) string {
		said, err := suite.kube.CoreV1().Pods(namespace).ProxyGet("http", "updated", "8080", "/", nil).DoRaw(ctx)
		if err != nil || !strings.Contains(string(said), "two") {
			return fmt.Sprintf("%s, %v", said, err)
		}
		return ""
	})
	pod := awaitRunning(t, "updated", time.Minute)
	if got := pod.Spec.Containers[0].Image; !strings.HasPrefix(got, registry+"/"+second) {
		t.Errorf("image = %s, want it from the registry", got)
	}
}

// A running pod is updated to a host-only image while the webhook is down, so the kubelet cannot pull that image.
func TestHeal_RunsAPodUpdatedWithoutTheWebhook(t *testing.T) {
	first := buildImage(t, "e2e/heal-one:local", "one")
	second := buildImage(t, "e2e/heal-two:local", "two")
	t.Cleanup(func() { scale(t, 1) })
	createPod(t, "heals", namespace, podSpec(first))
	awaitRunning(t, "heals", time.Minute)
	scale(t, 0)
	kubectl(t, "set", "image", "pod/heals", "app="+second)
	awaitUnpullable(t, "heals")
	scale(t, 1)
	eventually(t, 2*time.Minute, "the second image runs", func(ctx context.Context) string {
		pod, err := suite.kube.CoreV1().Pods(namespace).Get(ctx, "heals", metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		if status := pod.Status.ContainerStatuses[0]; !status.Ready || !strings.HasPrefix(pod.Spec.Containers[0].Image, registry+"/"+second) {
			return describe(pod)
		}
		return ""
	})
}

func TestStatefulSet_IsRewrittenOnceItsQuotaIsRaised(t *testing.T) {
	t.Parallel()
	const ns = "quota"
	image := loadImage(t, "e2e/quota:local", 1)
	spaces := suite.kube.CoreV1().Namespaces()
	if _, err := spaces.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = spaces.Delete(context.Background(), ns, metav1.DeleteOptions{}) })
	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "none"}, Spec: corev1.ResourceQuotaSpec{
		Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("0")},
	}}
	if _, err := suite.kube.CoreV1().ResourceQuotas(ns).Create(t.Context(), quota, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	labels := map[string]string{"app": "quota"}
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "db"}, Spec: appsv1.StatefulSetSpec{
		Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: podSpec(image)},
	}}
	if _, err := suite.kube.AppsV1().StatefulSets(ns).Create(t.Context(), set, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	// The StatefulSet controller retries with back-off, a dozen times in about 10 s. The API server calls the webhook each time. If the loop
	// guard counted these calls, it would find a loop long before the last, and db-0 would keep the original image.
	eventually(t, 2*time.Minute, "a dozen pods are refused", func(ctx context.Context) string {
		events, err := suite.kube.CoreV1().Events(ns).List(ctx, metav1.ListOptions{FieldSelector: "reason=FailedCreate"})
		if err != nil {
			return err.Error()
		}
		refused := int32(0)
		for i := range events.Items {
			refused += max(events.Items[i].Count, 1)
		}
		if refused < 12 {
			return fmt.Sprintf("%d refused", refused)
		}
		return ""
	})
	kubectl(t, "patch", "quota", "none", "-n", ns, "-p", `{"spec":{"hard":{"pods":"10"}}}`)
	eventually(t, 3*time.Minute, "db-0 runs the host's image", func(ctx context.Context) string {
		pod, err := suite.kube.CoreV1().Pods(ns).Get(ctx, "db-0", metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		if pod.Status.Phase != corev1.PodRunning || !strings.HasPrefix(pod.Spec.Containers[0].Image, registry+"/") {
			return describe(pod)
		}
		return ""
	})
}
