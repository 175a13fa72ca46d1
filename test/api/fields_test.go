//go:build api

package api

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kind-local-registry/config"
	"kind-local-registry/internal/rewrite"
)

// debug adds an ephemeral container to a pod, as kubectl debug does.
func debug(t *testing.T, p *corev1.Pod, name, image string) {
	t.Helper()
	p.Spec.EphemeralContainers = append(p.Spec.EphemeralContainers, corev1.EphemeralContainer{
		EphemeralContainerCommon: corev1.EphemeralContainerCommon{
			Name: name, Image: image, ImagePullPolicy: corev1.PullIfNotPresent,
			TerminationMessagePolicy: corev1.TerminationMessageReadFile,
		},
	})
	if err := shared.SubResource("ephemeralcontainers").Update(t.Context(), p); err != nil {
		t.Fatalf("adding ephemeral container %s: %v", name, err)
	}
}

func TestAdmission_RewritesEphemeralContainersEachOnce(t *testing.T) {
	t.Parallel()
	shared.host.have("debug/held:local", image{inRegistry: true})
	shared.host.have("debug/new:local", image{})
	p := create(t, pod(namespace(t), "registry.invalid/else:1"))

	debug(t, p, "one", "debug/held:local")
	debug(t, p, "two", "debug/new:local")
	debug(t, p, "three", "registry.invalid/else:1")
	want := []string{pinned("debug/held:local"), pinned("debug/new:local"), "registry.invalid/else:1"}
	for i, c := range p.Spec.EphemeralContainers {
		if c.Image != want[i] {
			t.Errorf("ephemeral container %s has %s, want %s", c.Name, c.Image, want[i])
		}
	}
	if len(p.Annotations) > 0 {
		t.Errorf("annotations = %v, want none", p.Annotations)
	}
	if n := shared.host.done("debug/new:local"); n == 0 { // the API server may ask twice about one update
		t.Error("the image was not pushed")
	}
}

func TestAdmission_AddsAnEphemeralContainerToAPodThatItNeverSaw(t *testing.T) {
	t.Parallel()
	shared.host.have("debug/unseen:local", image{inRegistry: true})
	p := pod(namespace(t), "debug/unseen:local")
	p.Annotations = map[string]string{config.RewriteAnnotation: "false"}
	create(t, p)
	delete(p.Annotations, config.RewriteAnnotation)
	if err := shared.Update(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	debug(t, p, "one", "debug/unseen:local")
	wantImages(t, p, "debug/unseen:local")
	if got := p.Spec.EphemeralContainers[0].Image; got != pinned("debug/unseen:local") {
		t.Errorf("the ephemeral container has %s", got)
	}
}

func TestAdmission_HasAnEphemeralContainerWaitForASlowPushOnlyALittle(t *testing.T) {
	t.Parallel()
	pushing := make(chan struct{})
	shared.host.have("debug/slow:local", image{pushing: pushing})
	p := create(t, pod(namespace(t), "registry.invalid/else:1"))
	debug(t, p, "one", "debug/slow:local")
	close(pushing)
	if got, want := p.Spec.EphemeralContainers[0].Image, "localhost:5001/debug/slow:local"; got != want {
		t.Errorf("the ephemeral container has %s, want %s", got, want)
	}
	await(t, "pushed", func() bool { return shared.host.done("debug/slow:local") == 1 })
}

// withVolume returns a pod with an image as a volume.
func withVolume(t *testing.T, reference string) *corev1.Pod {
	p := pod(namespace(t), "registry.invalid/else:1")
	p.Spec.Volumes = []corev1.Volume{{Name: "model", VolumeSource: corev1.VolumeSource{
		Image: &corev1.ImageVolumeSource{Reference: reference, PullPolicy: corev1.PullIfNotPresent},
	}}}
	return create(t, p)
}

// volumeReference returns what the pod's volume names.
func volumeReference(p *corev1.Pod) string { return p.Spec.Volumes[0].Image.Reference }

func TestAdmission_RewritesImageVolumesByDigestAtOnce(t *testing.T) {
	t.Parallel()
	for _, held := range []bool{true, false} {
		name := map[bool]string{true: "volume/held:local", false: "volume/new:local"}[held]
		shared.host.have(name, image{inRegistry: held})
		p := withVolume(t, name)
		if got := volumeReference(p); got != pinned(name) || gated(p) {
			t.Errorf("the volume has %s and the pod's gates are %v, want %s and none", got, p.Spec.SchedulingGates, pinned(name))
		}
		if got, want := p.Annotations[config.OriginalsAnnotation], `{"spec.volumes{model}":"`+name+`"}`; got != want {
			t.Errorf("originals = %s, want %s", got, want)
		}
	}
}

func TestDelivery_HoldsAPodUntilASlowImageVolumeIsPushed(t *testing.T) {
	t.Parallel()
	pushing := make(chan struct{})
	shared.host.have("volume/slow:local", image{pushing: pushing})
	p := withVolume(t, "volume/slow:local")
	if !gated(p) {
		t.Error("the pod is not gated")
	}
	close(pushing)
	eventually(t, p, "free", free)
	if got, want := volumeReference(p), "localhost:5001/volume/slow:local"; got != want {
		t.Errorf("the volume has %s, want %s, as nobody may change it", got, want)
	}
}

func TestAdmission_LeavesAnImageVolumeAloneThatCannotBePushed(t *testing.T) {
	t.Parallel()
	shared.host.have("volume/refused:local", image{refusal: rewrite.Unservable})
	p := withVolume(t, "volume/refused:local")
	if got := volumeReference(p); got != "volume/refused:local" || gated(p) {
		t.Errorf("the volume has %s and the pod's gates are %v, want it as it was written, and no gate", got, p.Spec.SchedulingGates)
	}
}

func TestAdmission_LeavesANamespaceAloneThatAsksForIt(t *testing.T) {
	t.Parallel()
	shared.host.have("label/app:local", image{inRegistry: true})
	ns := &corev1.Namespace{}
	if err := shared.Get(t.Context(), client.ObjectKey{Name: namespace(t)}, ns); err != nil {
		t.Fatal(err)
	}
	ns.Labels[config.RewriteAnnotation] = "false"
	if err := shared.Update(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	await(t, "left alone", func() bool { // the webhook's cache learns of it in a moment
		p := pod(ns.Name, "label/app:local")
		p.Name, p.GenerateName = "", "app-"
		return images(create(t, p)) == "label/app:local"
	})
	p := pod(ns.Name, "label/app:local")
	p.Annotations = map[string]string{config.RewriteAnnotation: "true"}
	wantImages(t, create(t, p), pinned("label/app:local"))
}
