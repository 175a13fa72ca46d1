//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestController_UngatesPodsAfterAnOutage(t *testing.T) {
	const app, pods = "gated", 20
	switchLinkingOff(t)                                // a linked image needs no gate
	down := time.Duration(count(5, 600)) * time.Second // a push has a deadline of 10 minutes from the pod's creation
	var images []string
	for i := range pods {
		images = append(images, loadImage(t, fmt.Sprintf("e2e/gated-%d:local", i), 5))
	}
	resume := pauseDelivery(t)
	createPods(t, app, pods, images...)
	wantGated(t, app, pods)
	scale(t, 0)
	time.Sleep(down) // the fault
	wantGated(t, app, pods)
	resume()

	start := time.Now()
	scale(t, 1)
	awaitUngated(t, 30*time.Second-time.Since(start), app)
	ungated := time.Since(start)
	running := awaitPodsWithin(t, time.Minute, app, pods, "")
	t.Logf("%d pods were gated while the controller was down for %s; none gated %.1f s after its start, all running after %.1f s",
		pods, down, ungated.Seconds(), time.Since(start).Seconds())
	for i := range running {
		if got := running[i].Spec.Containers[0].Image; !strings.HasPrefix(got, registry+"/e2e/gated-") || !strings.Contains(got, "@sha256:") {
			t.Errorf("image of pod %s = %s, want it from the registry, by digest", running[i].Name, got)
		}
	}
}

func TestGatedPod_IsRestoredWhenItsImageIsRemoved(t *testing.T) {
	const app, pod, limit = "removed", "removed-0", 15 * time.Second
	switchLinkingOff(t) // a linked image needs no gate
	image := loadImage(t, "e2e/removed:local", 1)
	resume := pauseDelivery(t)
	createPods(t, app, 1, image)
	wantGated(t, app, 1)
	removeImage(t, image)

	start := time.Now()
	resume()
	eventually(t, limit, "the pod is ungated with its original image", func(ctx context.Context) string {
		restored, err := suite.kube.CoreV1().Pods(namespace).Get(ctx, pod, metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		if len(restored.Spec.SchedulingGates) > 0 || restored.Spec.Containers[0].Image != image {
			return describe(restored)
		}
		return ""
	})
	eventually(t, limit-time.Since(start), "a Warning Event reports why", func(ctx context.Context) string {
		return checkWarned(ctx, pod, "ImagePushFailed", "NotOnHost", "running the original image")
	})
	t.Logf("the pod was restored, with a Warning Event, %.1f s after the controller was back", time.Since(start).Seconds())
}

// checkWarned returns "" if the pod has a Warning Event with the reason, and with all the words in its note.
func checkWarned(ctx context.Context, pod, reason string, words ...string) string {
	events, err := suite.kube.EventsV1().Events(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err.Error()
	}
	var notes []string
	for _, event := range events.Items {
		if event.Regarding.Name != pod || event.Type != corev1.EventTypeWarning || event.Reason != reason {
			continue
		}
		notes = append(notes, event.Note)
		missing := false
		for _, word := range words {
			missing = missing || !strings.Contains(event.Note, word)
		}
		if !missing {
			return ""
		}
	}
	return fmt.Sprintf("no note has %s: %q", strings.Join(words, ", "), notes)
}

// wantGated fails the test unless n pods with the label app=APP have our gate.
func wantGated(t *testing.T, app string, n int) {
	t.Helper()
	if got := countGated(t, app); got != n {
		t.Fatalf("%d pods with app=%s are gated, want %d", got, app, n)
	}
}

// pauseDelivery holds the delivery controller's Lease until resume is called. Until then, pods are still admitted, but gated pods
// stay gated.
func pauseDelivery(t *testing.T) (resume func()) {
	t.Helper()
	scale(t, 0)
	resume = sync.OnceFunc(func() { deleteLease(t) })
	t.Cleanup(func() {
		resume()
		scale(t, 1)
	})
	now := metav1.NowMicro()
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: ours}, Spec: coordinationv1.LeaseSpec{
		HolderIdentity: new("e2e"), LeaseDurationSeconds: new(int32(3600)), AcquireTime: &now, RenewTime: &now,
	}}
	if _, err := suite.kube.CoordinationV1().Leases(ours).Create(t.Context(), lease, metav1.CreateOptions{}); err != nil {
		t.Fatalf("taking the Lease: %v", err)
	}
	scale(t, 1)
	return resume
}

// deleteLease deletes the Lease, no matter who holds it. It can be called in a cleanup.
func deleteLease(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := suite.kube.CoordinationV1().Leases(ours).Delete(ctx, ours, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		t.Fatalf("deleting the Lease: %v", err)
	}
}
