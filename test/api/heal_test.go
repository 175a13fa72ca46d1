//go:build api

package api

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kind-local-registry/config"
)

// createWithoutWebhook creates pods while the webhook is stopped. Tests that use it are not parallel.
func createWithoutWebhook(t *testing.T, pods ...*corev1.Pod) {
	t.Helper()
	if err := shared.stop(); err != nil {
		t.Fatal(err)
	}
	for _, p := range pods {
		create(t, p)
	}
	stop, err := startProcess(shared.process())
	if err != nil {
		t.Fatal(err)
	}
	shared.stop = stop
}

// failPulls sets the pod's status as if the kubelet could not pull its images.
func failPulls(t *testing.T, p *corev1.Pod) {
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

func TestHeal_RewritesPodsCreatedWithoutTheWebhook(t *testing.T) {
	shared.host.add("heal/present:local", image{inRegistry: true})
	shared.host.add("heal/new:local", image{})
	ns := newNamespace(t)
	p := pod(ns, "heal/present:local", "registry.invalid/else:1")
	p.Spec.InitContainers = []corev1.Container{{Name: "init", Image: "heal/new:local"}}
	optedOut := pod(ns, "heal/present:local")
	optedOut.Name, optedOut.Annotations = "opted-out", map[string]string{config.RewriteAnnotation: "false"}
	createWithoutWebhook(t, p, optedOut)
	failPulls(t, optedOut)
	failPulls(t, p)

	eventually(t, p, "healed", func(p *corev1.Pod) bool {
		return images(p) == strings.Join([]string{pinned("heal/new:local"), pinned("heal/present:local"), "registry.invalid/else:1"}, " ")
	})
	want := `{"spec.containers{c0}":"heal/present:local","spec.initContainers{init}":"heal/new:local"}`
	if got := p.Annotations[config.OriginalsAnnotation]; got != want {
		t.Errorf("originals = %s, want %s", got, want)
	}
	wantEvent(t, p, corev1.EventTypeNormal, "ImageHealed", "heal/present:local")
	if err := shared.Get(t.Context(), client.ObjectKeyFromObject(optedOut), optedOut); err != nil {
		t.Fatal(err)
	}
	wantImages(t, optedOut, "heal/present:local")
}

// TestHeal_RewritesWhenTheImageIsBuilt covers a pod that was created before its image was built. The kubelet's next report about it would
// come only after minutes.
func TestHeal_RewritesWhenTheImageIsBuilt(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t)
	p, other := create(t, pod(ns, "heal/later:local")), pod(ns, "heal/unbuilt:local")
	other.Name = "other"
	create(t, other)
	failPulls(t, p)
	failPulls(t, other)
	wantEvent(t, p, corev1.EventTypeWarning, "NotOnHost", "heal/later:local")

	shared.host.add("heal/later:local", image{inRegistry: true})
	shared.host.report("heal/later:local")

	eventually(t, p, "healed", func(p *corev1.Pod) bool { return images(p) == pinned("heal/later:local") })
	if err := shared.Get(t.Context(), client.ObjectKeyFromObject(other), other); err != nil {
		t.Fatal(err)
	}
	wantImages(t, other, "heal/unbuilt:local")
}

func TestHeal_PushesAnImageThatTheRegistryLost(t *testing.T) {
	t.Parallel()
	shared.host.add("heal/lost:local", image{inRegistry: true})
	p := create(t, pod(newNamespace(t), "heal/lost:local"))
	wantImages(t, p, pinned("heal/lost:local"))
	shared.host.add("heal/lost:local", image{})
	failPulls(t, p)

	// The healed pod has another reference to the same image manifest, because the kubelet is in back-off for the old reference.
	want := strings.Replace(pinned("heal/lost:local"), ":local@", "@", 1)
	eventually(t, p, "healed", func(p *corev1.Pod) bool { return images(p) == want })
	if n := shared.host.pushesDone("heal/lost:local"); n == 0 {
		t.Error("the image was not pushed")
	}
}

// TestHeal_RestoresAnImageThatHostAndRegistryLost covers an image that was promised and that the host lost before its push.
func TestHeal_RestoresAnImageThatHostAndRegistryLost(t *testing.T) {
	t.Parallel()
	shared.host.add("heal/gone:local", image{inRegistry: true})
	ns := newNamespace(t)
	p, never := pod(ns, "heal/gone:local"), pod(ns, "heal/gone:local")
	never.Name, never.Spec.Containers[0].ImagePullPolicy = "never", corev1.PullNever
	create(t, p)
	create(t, never)
	wantImages(t, p, pinned("heal/gone:local"))
	shared.host.remove("heal/gone:local")
	failPulls(t, never)
	failPulls(t, p)

	eventually(t, p, "restored", func(p *corev1.Pod) bool { return images(p) == "heal/gone:local" })
	wantEvent(t, p, corev1.EventTypeWarning, "ImageHealed", "NotOnHost")
	if err := shared.Get(t.Context(), client.ObjectKeyFromObject(never), never); err != nil {
		t.Fatal(err)
	}
	wantImages(t, never, pinned("heal/gone:local")) // the kubelet would pull the original image from its registry
}

func TestHeal_GivesUpAfterThreeTimes(t *testing.T) {
	t.Parallel()
	shared.host.add("heal/never:local", image{inRegistry: true})
	p := pod(newNamespace(t), "heal/never:local")
	p.Annotations = map[string]string{config.HealedAnnotation: `{"times":3,"last":"2026-01-01T00:00:00Z"}`}
	create(t, p)
	before := images(p)
	failPulls(t, p)
	wantEvent(t, p, corev1.EventTypeWarning, "ImageHealFailed", "3 times")
	wantImages(t, p, before)
}

func TestHeal_WaitsForTheKubeletsNextAttempt(t *testing.T) {
	t.Parallel()
	shared.host.add("heal/twice:local", image{inRegistry: true})
	shared.host.add("heal/once:local", image{inRegistry: true})
	ns := newNamespace(t)
	p, other := create(t, pod(ns, "heal/twice:local")), pod(ns, "heal/once:local")
	other.Name = "other"
	create(t, other)
	failPulls(t, p)
	untagged := strings.Replace(pinned("heal/twice:local"), ":local@", "@", 1)
	eventually(t, p, "healed", func(p *corev1.Pod) bool { return images(p) == untagged })
	if got := p.Annotations[config.HealedAnnotation]; !strings.HasPrefix(got, `{"times":1,"last":"`) {
		t.Errorf("annotation %s = %s, want times 1", config.HealedAnnotation, got)
	}
	failPulls(t, p) // at first, the kubelet reports this for the new image, too

	// By the time a later pod has been healed, this pod would have been healed again.
	failPulls(t, other)
	eventually(t, other, "healed", func(p *corev1.Pod) bool { return images(p) != pinned("heal/once:local") })
	eventually(t, p, "healed once only", func(p *corev1.Pod) bool { return images(p) == untagged })
}

func TestHeal_SkipsKubeSystem(t *testing.T) {
	t.Parallel()
	shared.host.add("heal/system:local", image{inRegistry: true})
	shared.host.add("heal/other:local", image{inRegistry: true})
	p := pod("kube-system", "heal/system:local")
	p.GenerateName, p.Name = "system-", ""
	failPulls(t, create(t, p))

	// By the time a later pod has been healed, the pod in kube-system would have been healed, too.
	other := create(t, pod(newNamespace(t), "heal/other:local"))
	before := images(other)
	failPulls(t, other)
	eventually(t, other, "healed", func(p *corev1.Pod) bool { return images(p) != before })
	if err := shared.Get(t.Context(), client.ObjectKeyFromObject(p), p); err != nil {
		t.Fatal(err)
	}
	wantImages(t, p, "heal/system:local")
}
