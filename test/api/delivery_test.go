//go:build api

package api

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"kind-local-registry/internal/rewrite"
	"kind-local-registry/webhook"
)

func TestDelivery_HoldsAPodUntilItsImagesArePushed(t *testing.T) {
	t.Parallel()
	pushing := make(chan struct{})
	shared.host.have("push/app:local", image{pushing: pushing})
	shared.host.have("push/init:local", image{})
	p := pod(namespace(t), "push/app:local", "registry.invalid/else:1", "push/app:local")
	p.Spec.InitContainers = []corev1.Container{{Name: "init", Image: "push/init:local"}}
	create(t, p)

	if !gated(p) {
		t.Fatal("the pod is not gated")
	}
	wantImages(t, p, "localhost:5001/push/init:local", "localhost:5001/push/app:local",
		"registry.invalid/else:1", "localhost:5001/push/app:local")
	wantEvent(t, p, corev1.EventTypeNormal, "ImagePushing", "push/app:local")
	close(pushing)

	eventually(t, p, "free", free)
	wantImages(t, p, pinned("push/init:local"), pinned("push/app:local"), "registry.invalid/else:1", pinned("push/app:local"))
	wantEvent(t, p, corev1.EventTypeNormal, "ImagePushed", digestOf("push/app:local"))
	if n := shared.host.pushed("push/app:local"); n != 1 {
		t.Errorf("the image was pushed %d times, want once", n)
	}
}

func TestDelivery_RestoresAnImageThatCanNeverBePushed(t *testing.T) {
	t.Parallel()
	shared.host.have("refused/app:local", image{refusal: rewrite.WrongPlatform})
	shared.host.have("refused/other:local", image{})
	p := create(t, pod(namespace(t), "refused/app:local", "refused/other:local"))

	eventually(t, p, "free", free)
	wantImages(t, p, "refused/app:local", pinned("refused/other:local"))
	wantEvent(t, p, corev1.EventTypeWarning, "ImagePushFailed", "WrongPlatform")
}

func TestDelivery_TriesAgainWhatMayPass(t *testing.T) {
	t.Parallel()
	shared.host.have("again/app:local", image{failures: 1})
	p := create(t, pod(namespace(t), "again/app:local"))

	eventually(t, p, "free", free)
	wantImages(t, p, pinned("again/app:local"))
	wantEvent(t, p, corev1.EventTypeWarning, "ImagePushFailed", "retrying")
}

func TestDelivery_ShowsOnThePodHowFarItsPushesAre(t *testing.T) {
	t.Parallel()
	pushing := make(chan struct{})
	shared.host.have("progress/app:local", image{pushing: pushing, progress: webhook.Progress{Done: 400e6, Total: 800e6}})
	shared.host.have("progress/init:local", image{pushing: pushing, progress: webhook.Progress{Done: 12e6, Total: 58e6}})
	p := pod(namespace(t), "progress/app:local")
	p.Spec.InitContainers = []corev1.Container{{Name: "init", Image: "progress/init:local"}}
	create(t, p)

	eventually(t, p, "showing progress", shows("pushing 412 of 858 MB"))
	close(pushing)
	eventually(t, p, "free", free)
	if !shows("")(p) {
		t.Errorf("annotations = %v, want no progress on a pod that is free", p.Annotations)
	}
	wantImages(t, p, pinned("progress/init:local"), pinned("progress/app:local"))
	wantEvent(t, p, corev1.EventTypeNormal, "ImagePushed", ", 400 MB: "+digestOf("progress/app:local"))
}

func TestDelivery_ShowsOnThePodWhyAPushIsTriedAgain(t *testing.T) {
	t.Parallel()
	shared.host.have("failing/app:local", image{failures: 3})
	p := create(t, pod(namespace(t), "failing/app:local"))

	eventually(t, p, "showing the error", shows("retrying: pushing failing/app:local: the registry is not there, in a test"))
	eventually(t, p, "free", free)
	if !shows("")(p) {
		t.Errorf("annotations = %v, want no progress on a pod that is free", p.Annotations)
	}
}

// shows returns whether a pod shows that progress, or none at all for "".
func shows(text string) func(*corev1.Pod) bool {
	return func(p *corev1.Pod) bool {
		shown, there := p.Annotations["kind-local-registry/progress"]
		return shown == text && there == (text != "")
	}
}

func TestDelivery_KeepsTheGatesOfOthers(t *testing.T) {
	t.Parallel()
	shared.host.have("foreign/app:local", image{})
	p := pod(namespace(t), "foreign/app:local")
	p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "example.com/theirs"}}
	create(t, p)

	eventually(t, p, "free", free)
	wantImages(t, p, pinned("foreign/app:local"))
	if len(p.Spec.SchedulingGates) != 1 || p.Spec.SchedulingGates[0].Name != "example.com/theirs" {
		t.Errorf("gates = %v, want the one of somebody else", p.Spec.SchedulingGates)
	}
}

func TestDelivery_PinsAPodWithANodeThatCouldNotBeGated(t *testing.T) {
	t.Parallel()
	shared.host.have("node/app:local", image{})
	p := pod(namespace(t), "node/app:local")
	p.Spec.NodeName = "some-node"
	create(t, p)

	if gated(p) {
		t.Fatal("the pod is gated, though it has a node")
	}
	eventually(t, p, "pinned", func(p *corev1.Pod) bool { return images(p) == pinned("node/app:local") })
}

func TestDelivery_PushesWhatNamesTheRegistryItself(t *testing.T) {
	t.Parallel()
	const name = "localhost:5001/itself/app:local"
	shared.host.have(name, image{})
	p := create(t, pod(namespace(t), name))

	if !gated(p) {
		t.Fatal("the pod is not gated")
	}
	eventually(t, p, "free", free)
	wantImages(t, p, name)
	if n := shared.host.pushed(name); n != 1 {
		t.Errorf("the image was pushed %d times, want once", n)
	}
}

func TestDelivery_FreesAPodThatWasGatedByHand(t *testing.T) {
	t.Parallel()
	p := pod(namespace(t), "registry.invalid/else:1")
	p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "kind-local-registry/image-push"}}
	create(t, p)
	eventually(t, p, "free", free)
	wantImages(t, p, "registry.invalid/else:1")
}
