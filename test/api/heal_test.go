//go:build api

package api

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kind-local-registry/config"
)

// createUnseen creates pods while there is no webhook. Tests that use it are not parallel.
func createUnseen(t *testing.T, pods ...*corev1.Pod) {
	t.Helper()
	if err := shared.stop(); err != nil {
		t.Fatal(err)
	}
	for _, p := range pods {
		create(t, p)
	}
	stop, err := serve(shared.process())
	if err != nil {
		t.Fatal(err)
	}
	shared.stop = stop
}

// fail has the pod be one whose images the kubelet cannot pull.
func fail(t *testing.T, p *corev1.Pod) {
	t.Helper()
	if err := shared.Get(t.Context(), client.ObjectKeyFromObject(p), p); err != nil {
		t.Fatal(err)
	}
	waiting := func(containers []corev1.Container) []corev1.ContainerStatus {
		var statuses []corev1.ContainerStatus
		for _, c := range containers {
			statuses = append(statuses, corev1.ContainerStatus{Name: c.Name, Image: c.Image, State: corev1.ContainerState{
				Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull"},
			}})
		}
		return statuses
	}
	p.Status.ContainerStatuses = waiting(p.Spec.Containers)
	p.Status.InitContainerStatuses = waiting(p.Spec.InitContainers)
	if err := shared.Status().Update(t.Context(), p); err != nil {
		t.Fatal(err)
	}
}

func TestHeal_GivesPodsTheHostsImagesThatWereCreatedWithoutTheWebhook(t *testing.T) {
	shared.host.have("heal/held:local", image{inRegistry: true})
	shared.host.have("heal/new:local", image{})
	ns := namespace(t)
	p := pod(ns, "heal/held:local", "registry.invalid/else:1")
	p.Spec.InitContainers = []corev1.Container{{Name: "init", Image: "heal/new:local"}}
	out := pod(ns, "heal/held:local")
	out.Name, out.Annotations = "out", map[string]string{config.RewriteAnnotation: "false"}
	createUnseen(t, p, out)
	fail(t, out)
	fail(t, p)

	eventually(t, p, "healed", func(p *corev1.Pod) bool {
		return images(p) == strings.Join([]string{pinned("heal/new:local"), pinned("heal/held:local"), "registry.invalid/else:1"}, " ")
	})
	want := `{"spec.containers{c0}":"heal/held:local","spec.initContainers{init}":"heal/new:local"}`
	if got := p.Annotations[config.OriginalsAnnotation]; got != want {
		t.Errorf("originals = %s, want %s", got, want)
	}
	wantEvent(t, p, corev1.EventTypeNormal, "ImageHealed", "heal/held:local")
	if err := shared.Get(t.Context(), client.ObjectKeyFromObject(out), out); err != nil {
		t.Fatal(err)
	}
	wantImages(t, out, "heal/held:local")
}

func TestHeal_PushesAgainWhatTheRegistryHasLost(t *testing.T) {
	t.Parallel()
	shared.host.have("heal/lost:local", image{inRegistry: true})
	p := create(t, pod(namespace(t), "heal/lost:local"))
	wantImages(t, p, pinned("heal/lost:local"))
	shared.host.have("heal/lost:local", image{})
	fail(t, p)

	// By another reference to the same manifest, as the kubelet backs off from the one that it knows.
	want := strings.Replace(pinned("heal/lost:local"), ":local@", "@", 1)
	eventually(t, p, "healed", func(p *corev1.Pod) bool { return images(p) == want })
	if n := shared.host.done("heal/lost:local"); n == 0 {
		t.Error("the image was not pushed")
	}
}

func TestHeal_GivesUpAfterAFewTimes(t *testing.T) {
	t.Parallel()
	shared.host.have("heal/never:local", image{inRegistry: true})
	p := pod(namespace(t), "heal/never:local")
	p.Annotations = map[string]string{config.HealedAnnotation: `{"times":3,"last":"2026-01-01T00:00:00Z"}`}
	create(t, p)
	before := images(p)
	fail(t, p)
	wantEvent(t, p, corev1.EventTypeWarning, "ImageHealFailed", "3 times")
	wantImages(t, p, before)
}

func TestHeal_WaitsForTheKubeletToTryTheImageThatItGave(t *testing.T) {
	t.Parallel()
	shared.host.have("heal/twice:local", image{inRegistry: true})
	shared.host.have("heal/once:local", image{inRegistry: true})
	ns := namespace(t)
	p, other := create(t, pod(ns, "heal/twice:local")), pod(ns, "heal/once:local")
	other.Name = "other"
	create(t, other)
	fail(t, p)
	untagged := strings.Replace(pinned("heal/twice:local"), ":local@", "@", 1)
	eventually(t, p, "healed", func(p *corev1.Pod) bool { return images(p) == untagged })
	if got := p.Annotations[config.HealedAnnotation]; !strings.HasPrefix(got, `{"times":1,"last":"`) {
		t.Errorf("annotation %s = %s, want that it was healed once", config.HealedAnnotation, got)
	}
	fail(t, p) // of the new image, as the kubelet says at first

	// What came later is healed, and the pod was not a second time until then.
	fail(t, other)
	eventually(t, other, "healed", func(p *corev1.Pod) bool { return images(p) != pinned("heal/once:local") })
	eventually(t, p, "as it was healed", func(p *corev1.Pod) bool { return images(p) == untagged })
}

func TestHeal_LeavesTheSystemAlone(t *testing.T) {
	t.Parallel()
	shared.host.have("heal/system:local", image{inRegistry: true})
	shared.host.have("heal/other:local", image{inRegistry: true})
	p := pod("kube-system", "heal/system:local")
	p.GenerateName, p.Name = "system-", ""
	fail(t, create(t, p))

	// What came later is healed, and the pod of the system was not until then.
	other := create(t, pod(namespace(t), "heal/other:local"))
	before := images(other)
	fail(t, other)
	eventually(t, other, "healed", func(p *corev1.Pod) bool { return images(p) != before })
	if err := shared.Get(t.Context(), client.ObjectKeyFromObject(p), p); err != nil {
		t.Fatal(err)
	}
	wantImages(t, p, "heal/system:local")
}
