//go:build api

package api

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"kind-local-registry/internal/rewrite"
	"kind-local-registry/webhook"
)

func TestDelivery_GatesAPodUntilItsImagesArePushed(t *testing.T) {
	t.Parallel()
	unblock := make(chan struct{})
	shared.host.add("push/app:local", image{unblock: unblock})
	shared.host.add("push/init:local", image{})
	p := pod(newNamespace(t), "push/app:local", "registry.invalid/else:1", "push/app:local")
	p.Spec.InitContainers = []corev1.Container{{Name: "init", Image: "push/init:local"}}
	create(t, p)

	if !gated(p) {
		t.Fatal("the pod is not gated")
	}
	wantImages(t, p, "localhost:5001/push/init:local", "localhost:5001/push/app:local",
		"registry.invalid/else:1", "localhost:5001/push/app:local")
	wantEvent(t, p, corev1.EventTypeNormal, "ImagePushing", "push/app:local")
	close(unblock)

	eventually(t, p, "ungated", ungated)
	wantImages(t, p, pinned("push/init:local"), pinned("push/app:local"), "registry.invalid/else:1", pinned("push/app:local"))
	wantEvent(t, p, corev1.EventTypeNormal, "ImagePushed", digestOf("push/app:local"))
	if n := shared.host.pushesBegun("push/app:local"); n != 1 {
		t.Errorf("the image was pushed %d times, want 1", n)
	}
}

func TestDelivery_RestoresAnImageThatCanNeverBePushed(t *testing.T) {
	t.Parallel()
	shared.host.add("refused/app:local", image{pushRefusal: rewrite.WrongPlatform})
	shared.host.add("refused/other:local", image{})
	p := create(t, pod(newNamespace(t), "refused/app:local", "refused/other:local"))

	eventually(t, p, "ungated", ungated)
	wantImages(t, p, "refused/app:local", pinned("refused/other:local"))
	wantEvent(t, p, corev1.EventTypeWarning, "ImagePushFailed", "WrongPlatform")
}

func TestDelivery_RetriesATransientError(t *testing.T) {
	t.Parallel()
	shared.host.add("again/app:local", image{failures: 1})
	p := create(t, pod(newNamespace(t), "again/app:local"))

	eventually(t, p, "ungated", ungated)
	wantImages(t, p, pinned("again/app:local"))
	wantEvent(t, p, corev1.EventTypeWarning, "ImagePushFailed", "retrying")
}

func TestDelivery_AnnotatesThePodWithPushProgress(t *testing.T) {
	t.Parallel()
	unblock := make(chan struct{})
	shared.host.add("progress/app:local", image{unblock: unblock, progress: webhook.Progress{Done: 400e6, Total: 800e6}})
	shared.host.add("progress/init:local", image{unblock: unblock, progress: webhook.Progress{Done: 12e6, Total: 58e6}})
	p := pod(newNamespace(t), "progress/app:local")
	p.Spec.InitContainers = []corev1.Container{{Name: "init", Image: "progress/init:local"}}
	create(t, p)

	eventually(t, p, "showing progress", hasProgress("pushing 412 of 858 MB"))
	close(unblock)
	eventually(t, p, "ungated", ungated)
	if !hasProgress("")(p) {
		t.Errorf("annotations = %v, want no progress annotation on an ungated pod", p.Annotations)
	}
	wantImages(t, p, pinned("progress/init:local"), pinned("progress/app:local"))
	wantEvent(t, p, corev1.EventTypeNormal, "ImagePushed", ", 400 MB: "+digestOf("progress/app:local"))
}

func TestDelivery_AnnotatesThePodWithThePushError(t *testing.T) {
	t.Parallel()
	shared.host.add("failing/app:local", image{failures: 3})
	p := create(t, pod(newNamespace(t), "failing/app:local"))

	eventually(t, p, "showing the error", hasProgress("retrying: pushing failing/app:local: the registry is unavailable (simulated by a test)"))
	eventually(t, p, "ungated", ungated)
	if !hasProgress("")(p) {
		t.Errorf("annotations = %v, want no progress annotation on an ungated pod", p.Annotations)
	}
}

// hasProgress returns a condition that is true if a pod's progress annotation equals text. If text is "", the annotation must be
// absent.
func hasProgress(text string) func(*corev1.Pod) bool {
	return func(p *corev1.Pod) bool {
		got, found := p.Annotations["kind-local-registry/progress"]
		return got == text && found == (text != "")
	}
}

func TestDelivery_KeepsForeignGates(t *testing.T) {
	t.Parallel()
	shared.host.add("foreign/app:local", image{})
	p := pod(newNamespace(t), "foreign/app:local")
	p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "example.com/theirs"}}
	create(t, p)

	eventually(t, p, "ungated", ungated)
	wantImages(t, p, pinned("foreign/app:local"))
	if len(p.Spec.SchedulingGates) != 1 || p.Spec.SchedulingGates[0].Name != "example.com/theirs" {
		t.Errorf("gates = %v, want the foreign one", p.Spec.SchedulingGates)
	}
}

func TestDelivery_PinsAnUngatedPodThatHasANode(t *testing.T) {
	t.Parallel()
	shared.host.add("node/app:local", image{})
	p := pod(newNamespace(t), "node/app:local")
	p.Spec.NodeName = "some-node"
	create(t, p)

	if gated(p) {
		t.Fatal("the pod has a node and is gated, want no gate")
	}
	eventually(t, p, "pinned", func(p *corev1.Pod) bool { return images(p) == pinned("node/app:local") })
}

func TestDelivery_PushesAReferenceToTheRegistryItself(t *testing.T) {
	t.Parallel()
	const name = "localhost:5001/itself/app:local"
	shared.host.add(name, image{})
	p := create(t, pod(newNamespace(t), name))

	if !gated(p) {
		t.Fatal("the pod is not gated")
	}
	eventually(t, p, "ungated", ungated)
	wantImages(t, p, name)
	if n := shared.host.pushesBegun(name); n != 1 {
		t.Errorf("the image was pushed %d times, want 1", n)
	}
}

func TestDelivery_UngatesAPodThatWasGatedByHand(t *testing.T) {
	t.Parallel()
	p := pod(newNamespace(t), "registry.invalid/else:1")
	p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "kind-local-registry/image-push"}}
	create(t, p)
	eventually(t, p, "ungated", ungated)
	wantImages(t, p, "registry.invalid/else:1")
}
