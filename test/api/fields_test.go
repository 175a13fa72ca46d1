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

func TestAdmission_RewritesEachEphemeralContainerOnce(t *testing.T) {
	t.Parallel()
	shared.host.add("debug/present:local", image{inRegistry: true})
	shared.host.add("debug/new:local", image{})
	p := create(t, pod(newNamespace(t), "registry.invalid/else:1"))

	debug(t, p, "one", "debug/present:local")
	debug(t, p, "two", "debug/new:local")
	debug(t, p, "three", "registry.invalid/else:1")
	want := []string{pinned("debug/present:local"), pinned("debug/new:local"), "registry.invalid/else:1"}
	for i, c := range p.Spec.EphemeralContainers {
		if c.Image != want[i] {
			t.Errorf("image of ephemeral container %s = %s, want %s", c.Name, c.Image, want[i])
		}
	}
	if len(p.Annotations) > 0 {
		t.Errorf("annotations = %v, want none", p.Annotations)
	}
	if n := shared.host.pushesDone("debug/new:local"); n == 0 { // the API server may call the webhook twice for one update
		t.Error("the image was not pushed")
	}
}

func TestAdmission_RewritesAnEphemeralContainerOfAnUnrewrittenPod(t *testing.T) {
	t.Parallel()
	shared.host.add("debug/unrewritten:local", image{inRegistry: true})
	p := pod(newNamespace(t), "debug/unrewritten:local")
	p.Annotations = map[string]string{config.RewriteAnnotation: "false"}
	create(t, p)
	delete(p.Annotations, config.RewriteAnnotation)
	if err := shared.Update(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	debug(t, p, "one", "debug/unrewritten:local")
	wantImages(t, p, "debug/unrewritten:local")
	if got := p.Spec.EphemeralContainers[0].Image; got != pinned("debug/unrewritten:local") {
		t.Errorf("image of the ephemeral container = %s, want %s", got, pinned("debug/unrewritten:local"))
	}
}

func TestAdmission_BoundsTheWaitForAnEphemeralContainersPush(t *testing.T) {
	t.Parallel()
	unblock := make(chan struct{})
	shared.host.add("debug/slow:local", image{unblock: unblock})
	p := create(t, pod(newNamespace(t), "registry.invalid/else:1"))
	debug(t, p, "one", "debug/slow:local")
	close(unblock)
	if got, want := p.Spec.EphemeralContainers[0].Image, "localhost:5001/debug/slow:local"; got != want {
		t.Errorf("image of the ephemeral container = %s, want %s", got, want)
	}
	await(t, "pushed", func() bool { return shared.host.pushesDone("debug/slow:local") == 1 })
}

// createWithImageVolume creates a pod that has an image volume.
func createWithImageVolume(t *testing.T, reference string) *corev1.Pod {
	t.Helper()
	needVersion(t, "1.35", "image volumes by default")
	p := pod(newNamespace(t), "registry.invalid/else:1")
	p.Spec.Volumes = []corev1.Volume{{Name: "model", VolumeSource: corev1.VolumeSource{
		Image: &corev1.ImageVolumeSource{Reference: reference, PullPolicy: corev1.PullIfNotPresent},
	}}}
	return create(t, p)
}

// volumeImage returns the image reference of the pod's volume.
func volumeImage(p *corev1.Pod) string { return p.Spec.Volumes[0].Image.Reference }

func TestAdmission_PinsImageVolumesImmediately(t *testing.T) {
	t.Parallel()
	for _, present := range []bool{true, false} {
		name := map[bool]string{true: "volume/present:local", false: "volume/new:local"}[present]
		shared.host.add(name, image{inRegistry: present})
		p := createWithImageVolume(t, name)
		if got := volumeImage(p); got != pinned(name) || gated(p) {
			t.Errorf("volume image = %s, gates = %v, want %s and no gate", got, p.Spec.SchedulingGates, pinned(name))
		}
		if got, want := p.Annotations[config.OriginalsAnnotation], `{"spec.volumes{model}":"`+name+`"}`; got != want {
			t.Errorf("originals = %s, want %s", got, want)
		}
	}
}

func TestDelivery_GatesAPodUntilItsVolumeIsPushed(t *testing.T) {
	t.Parallel()
	unblock := make(chan struct{})
	shared.host.add("volume/slow:local", image{unblock: unblock})
	p := createWithImageVolume(t, "volume/slow:local")
	if !gated(p) {
		t.Error("the pod is not gated")
	}
	close(unblock)
	eventually(t, p, "ungated", ungated)
	if got, want := volumeImage(p), "localhost:5001/volume/slow:local"; got != want {
		t.Errorf("volume image = %s, want %s, because the field is immutable", got, want)
	}
}

func TestAdmission_KeepsAnImageVolumeThatCannotBePushed(t *testing.T) {
	t.Parallel()
	shared.host.add("volume/refused:local", image{pushRefusal: rewrite.Unservable})
	p := createWithImageVolume(t, "volume/refused:local")
	if got := volumeImage(p); got != "volume/refused:local" || gated(p) {
		t.Errorf("volume image = %s, gates = %v, want the original image and no gate", got, p.Spec.SchedulingGates)
	}
}

func TestAdmission_SkipsNamespacesThatOptOut(t *testing.T) {
	t.Parallel()
	shared.host.add("label/app:local", image{inRegistry: true})
	ns := &corev1.Namespace{}
	if err := shared.Get(t.Context(), client.ObjectKey{Name: newNamespace(t)}, ns); err != nil {
		t.Fatal(err)
	}
	ns.Labels[config.RewriteAnnotation] = "false"
	if err := shared.Update(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	await(t, "exempt", func() bool { // the label reaches the webhook's cache with a delay
		p := pod(ns.Name, "label/app:local")
		p.Name, p.GenerateName = "", "app-"
		return images(create(t, p)) == "label/app:local"
	})
	p := pod(ns.Name, "label/app:local")
	p.Annotations = map[string]string{config.RewriteAnnotation: "true"}
	wantImages(t, create(t, p), pinned("label/app:local"))
}
