//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// atOnce is how long the creation of a pod may take when a piece of ours is gone: less than a person notices.
const atOnce = 2 * time.Second

func TestPods_AreCreatedAtOnceWithTheWebhookScaledToZero(t *testing.T) {
	image := buildImage(t, "e2e/no-webhook:local", "hello")
	t.Cleanup(func() { scale(t, 1) })
	scale(t, 0)
	createAtOnce(t, "no-webhook", image)
}

func TestPods_AreCreatedAtOnceWithThePusherStopped(t *testing.T) {
	withStopped(t, "kind-registry-pusher")
}

func TestPods_AreCreatedAtOnceWithTheRegistryStopped(t *testing.T) {
	withStopped(t, "kind-registry")
}

func withStopped(t *testing.T, container string) {
	t.Helper()
	image := buildImage(t, "e2e/stopped-"+container+":local", "hello")
	docker(t, "stop", "-t", "2", container)
	t.Cleanup(func() {
		if out, err := backgroundCommand("docker", "start", container); err != nil {
			t.Errorf("starting %s: %v\n%s", container, err, out)
		}
		eventuallyRewrites(t)
	})
	createAtOnce(t, "stopped-"+container, image)
}

// createAtOnce creates pods, all of which must be there, as written, without anybody noticing a delay.
func createAtOnce(t *testing.T, prefix, image string) {
	t.Helper()
	for i := range 5 {
		pod, took := createPod(t, fmt.Sprintf("%s-%d", prefix, i), namespace, podSpec(image))
		t.Logf("pod %s was created in %d ms", pod.Name, took.Milliseconds())
		if took > atOnce {
			t.Errorf("creating pod %s took %s, want at most %s", pod.Name, took, atOnce)
		}
		if got := pod.Spec.Containers[0].Image; got != image {
			t.Errorf("pod %s has image %s, want %s as written", pod.Name, got, image)
		}
	}
}

// scale sets the webhook's replicas, and waits until that many stand behind its Service.
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
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("the webhook does not scale to 0: %v", err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// eventuallyRewrites waits, also in a clean-up, until setup status says that pods are rewritten again.
func eventuallyRewrites(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		out, err := suite.run(context.Background(), "status", "--cluster", clusterName)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not healthy again within a minute:\n%s", out)
		}
	}
}
