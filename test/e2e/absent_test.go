//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// maxCreateTime limits how long creating a pod may take while one of our components is down.
const maxCreateTime = 2 * time.Second

func TestPods_AreCreatedImmediatelyWithoutTheWebhook(t *testing.T) {
	image := buildImage(t, "e2e/no-webhook:local", "hello")
	t.Cleanup(func() { scale(t, 1) })
	scale(t, 0)
	createImmediately(t, "no-webhook", image)
}

func TestPods_AreCreatedImmediatelyWithoutThePusher(t *testing.T) {
	createWithStopped(t, "kind-registry-pusher")
}

func TestPods_AreCreatedImmediatelyWithoutTheRegistry(t *testing.T) {
	createWithStopped(t, "kind-registry")
}

func createWithStopped(t *testing.T, container string) {
	t.Helper()
	image := buildImage(t, "e2e/stopped-"+container+":local", "hello")
	docker(t, "stop", "-t", "2", container)
	t.Cleanup(func() {
		if out, err := backgroundCommand("docker", "start", container); err != nil {
			t.Errorf("starting %s: %v\n%s", container, err, out)
		}
		eventuallyRewrites(t)
	})
	createImmediately(t, "stopped-"+container, image)
}

// createImmediately creates pods. It fails the test unless each pod is created within maxCreateTime and keeps its original image.
func createImmediately(t *testing.T, prefix, image string) {
	t.Helper()
	for i := range 5 {
		pod, took := createPod(t, fmt.Sprintf("%s-%d", prefix, i), namespace, podSpec(image))
		t.Logf("created pod %s in %d ms", pod.Name, took.Milliseconds())
		if took > maxCreateTime {
			t.Errorf("creating pod %s took %s, want at most %s", pod.Name, took, maxCreateTime)
		}
		if got := pod.Spec.Containers[0].Image; got != image {
			t.Errorf("image of pod %s = %s, want the original %s", pod.Name, got, image)
		}
	}
}

// scale sets the number of webhook replicas. It waits until pods are rewritten again or, for 0 replicas, until no webhook pod is
// left. A webhook that is scaled to 0 does not get the time to answer the API server's last calls.
func scale(t *testing.T, replicas int32) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	want := &autoscalingv1.Scale{ObjectMeta: metav1.ObjectMeta{Name: ours, Namespace: ours}, Spec: autoscalingv1.ScaleSpec{Replicas: replicas}}
	if _, err := suite.kube.AppsV1().Deployments(ours).UpdateScale(ctx, ours, want, metav1.UpdateOptions{}); err != nil {
		t.Fatalf("scaling the webhook to %d: %v", replicas, err)
	}
	if replicas > 0 {
		eventuallyRewrites(t)
		return
	}
	for {
		pods, err := suite.kube.CoreV1().Pods(ours).List(ctx, metav1.ListOptions{})
		if err == nil && len(pods.Items) == 0 {
			deleteLease(t) // a killed webhook has not released it
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("scaling the webhook to 0: pods are left: %v", err)
		}
		for i := range pods.Items {
			hurry(ctx, &pods.Items[i])
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// hurry shortens the grace period of a pod that is being deleted, so that the kubelet kills it within a few seconds.
func hurry(ctx context.Context, pod *corev1.Pod) {
	if pod.DeletionGracePeriodSeconds != nil && *pod.DeletionGracePeriodSeconds > 1 {
		// With a grace period of 0, the pod would disappear from the API server before its processes end.
		_ = suite.kube.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(1))})
	}
}

// eventuallyRewrites waits until setup status reports that everything is healthy. It can be called in a cleanup.
func eventuallyRewrites(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		out, err := suite.run(context.Background(), "status", "--cluster", clusterName)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("setup status: not healthy within a minute:\n%s", out)
		}
	}
}
