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

func TestController_AwayLeavesGatedPodsThatGoOnceItIsBack(t *testing.T) {
	const app, pods = "gated", 20
	away := time.Duration(count(30, 600)) * time.Second // 10 minutes are the deadline of a push, from the pod's creation
	var images []string
	for i := range pods {
		images = append(images, loadImage(t, fmt.Sprintf("e2e/gated-%d:local", i), 5))
	}
	giveBack := holdDelivery(t)
	createPods(t, app, pods, images...)
	wantGated(t, app, pods)
	scale(t, 0)
	time.Sleep(away) // the fault
	wantGated(t, app, pods)
	giveBack()

	start := time.Now()
	scale(t, 1)
	awaitLifted(t, 30*time.Second-time.Since(start), app)
	lifted := time.Since(start)
	running := awaitPodsWithin(t, time.Minute, app, pods, "")
	t.Logf("%d pods were gated while the controller was away for %s; %.1f s after its start none was gated, after %.1f s all ran",
		pods, away, lifted.Seconds(), time.Since(start).Seconds())
	for i := range running {
		if got := running[i].Spec.Containers[0].Image; !strings.HasPrefix(got, registry+"/e2e/gated-") || !strings.Contains(got, "@sha256:") {
			t.Errorf("pod %s runs %s, want it from the registry, by digest", running[i].Name, got)
		}
	}
}

func TestImage_RemovedFromTheHostWhileItsPodIsGated(t *testing.T) {
	const app, pod, limit = "removed", "removed-0", 15 * time.Second
	image := loadImage(t, "e2e/removed:local", 1)
	giveBack := holdDelivery(t)
	createPods(t, app, 1, image)
	wantGated(t, app, 1)
	removeImage(t, image)

	start := time.Now()
	giveBack()
	eventually(t, limit, "the pod has what its author wrote", func(ctx context.Context) string {
		restored, err := suite.kube.CoreV1().Pods(namespace).Get(ctx, pod, metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		if len(restored.Spec.SchedulingGates) > 0 || restored.Spec.Containers[0].Image != image {
			return describe(restored)
		}
		return ""
	})
	eventually(t, limit-time.Since(start), "a Warning Event says why", func(ctx context.Context) string {
		return warned(ctx, pod, "ImagePushFailed", "NotOnHost", "running the original image")
	})
	t.Logf("%.1f s after the controller was back, the pod had what its author wrote, and an Event that said why", time.Since(start).Seconds())
}

// warned returns "" where a Warning Event of that reason regards the pod and has all the words.
func warned(ctx context.Context, pod, reason string, words ...string) string {
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
	return fmt.Sprintf("none has %s among %q", strings.Join(words, ", "), notes)
}

// wantGated fails the test unless our gate holds all n pods labelled app=name.
func wantGated(t *testing.T, app string, n int) {
	t.Helper()
	if got := gatedNow(t, app); got != n {
		t.Fatalf("%d pods of %s are gated, want all %d", got, app, n)
	}
}

// holdDelivery takes the Lease that lets one webhook deliver, until the function that it returns is called: pods are admitted
// as ever, and those that are gated stay so, whatever there is to push.
func holdDelivery(t *testing.T) (giveBack func()) {
	t.Helper()
	scale(t, 0)
	dropLease(t)
	giveBack = sync.OnceFunc(func() { dropLease(t) })
	t.Cleanup(func() {
		giveBack()
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
	return giveBack
}

// dropLease deletes the Lease, whoever has it, also in a clean-up.
func dropLease(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := suite.kube.CoordinationV1().Leases(ours).Delete(ctx, ours, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		t.Fatalf("deleting the Lease: %v", err)
	}
}
