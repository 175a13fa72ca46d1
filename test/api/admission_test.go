//go:build api

package api

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kind-local-registry/config"
)

func TestAdmission_PinsAnImagePresentInTheRegistry(t *testing.T) {
	t.Parallel()
	shared.host.add("present/app:local", image{inRegistry: true})
	p := create(t, pod(newNamespace(t), "present/app:local", "registry.invalid/else:1"))

	wantImages(t, p, pinned("present/app:local"), "registry.invalid/else:1")
	if len(p.Spec.SchedulingGates) > 0 {
		t.Errorf("gates = %v, want none", p.Spec.SchedulingGates)
	}
	want := `{"spec.containers{c0}":"present/app:local"}`
	if got := p.Annotations[config.OriginalsAnnotation]; got != want {
		t.Errorf("originals = %s, want %s", got, want)
	}
}

func TestAdmission_RewritesInitContainers(t *testing.T) {
	t.Parallel()
	needVersion(t, "1.29", "sidecars by default")
	shared.host.add("present/init:local", image{inRegistry: true})
	p := pod(newNamespace(t), "registry.invalid/else:1")
	always := corev1.ContainerRestartPolicyAlways
	p.Spec.InitContainers = []corev1.Container{{Name: "side", Image: "present/init:local", RestartPolicy: &always}}
	create(t, p)

	wantImages(t, p, pinned("present/init:local"), "registry.invalid/else:1")
	if got := p.Spec.InitContainers[0].RestartPolicy; got == nil || *got != always {
		t.Errorf("restartPolicy of the sidecar = %v, want %s", got, always)
	}
}

func TestAdmission_ChangesOnlyTheImagesOfAPod(t *testing.T) {
	t.Parallel()
	shared.host.add("present/rich:local", image{inRegistry: true})
	rich := func(image string) *corev1.Pod {
		p := pod(newNamespace(t), image)
		p.Labels = map[string]string{"app": "rich"}
		p.Spec.HostAliases = []corev1.HostAlias{{IP: "10.0.0.1", Hostnames: []string{"other"}}}
		p.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "EMPTY"}, {Name: "FULL", Value: "1"}}
		p.Spec.Containers[0].ResizePolicy = []corev1.ContainerResizePolicy{
			{ResourceName: corev1.ResourceCPU, RestartPolicy: corev1.RestartContainer},
		}
		return create(t, p)
	}
	ours, foreign := rich("present/rich:local"), rich("registry.invalid/rich:local")
	if diff := cmp.Diff(foreign.Spec, ours.Spec, cmpopts.IgnoreFields(corev1.Container{}, "Image")); diff != "" {
		t.Errorf("the rewritten pod differs (-original +rewritten):\n%s", diff)
	}
}

func TestAdmission_SkipsKubeSystem(t *testing.T) {
	t.Parallel()
	shared.host.add("present/system:local", image{inRegistry: true})
	p := pod("kube-system", "present/system:local")
	p.GenerateName, p.Name = "system-", ""
	create(t, p)
	wantImages(t, p, "present/system:local")
}

func TestAdmission_SkipsPodsThatOptOut(t *testing.T) {
	t.Parallel()
	shared.host.add("present/optout:local", image{inRegistry: true})
	p := pod(newNamespace(t), "present/optout:local")
	p.Annotations = map[string]string{"kind-local-registry/rewrite": "false"}
	create(t, p)
	wantImages(t, p, "present/optout:local")
}

func TestAdmission_ChangesPullPolicyNeverToIfNotPresent(t *testing.T) {
	t.Parallel()
	shared.host.add("present/never:local", image{inRegistry: true})
	p := pod(newNamespace(t), "present/never:local")
	p.Spec.Containers[0].ImagePullPolicy = corev1.PullNever
	create(t, p)
	wantImages(t, p, pinned("present/never:local"))
	if got := p.Spec.Containers[0].ImagePullPolicy; got != corev1.PullIfNotPresent {
		t.Errorf("imagePullPolicy = %s, want %s", got, corev1.PullIfNotPresent)
	}
}

func TestAdmission_DryRunHasNoSideEffects(t *testing.T) {
	t.Parallel()
	shared.host.add("dry/run:local", image{})
	p := create(t, pod(newNamespace(t), "dry/run:local"), client.DryRunAll)

	wantImages(t, p, "localhost:5001/dry/run:local")
	if !gated(p) {
		t.Error("the pod of the dry run is not gated, want the gate of a real pod")
	}
	if err := shared.Get(t.Context(), client.ObjectKeyFromObject(p), p); !apierrors.IsNotFound(err) {
		t.Errorf("reading the pod: %v, want not found", err)
	}
	// By the time a later pod has been delivered, any push for the dry run would have begun.
	shared.host.add("dry/later:local", image{})
	eventually(t, create(t, pod(p.Namespace, "dry/later:local")), "ungated", ungated)
	if n := shared.host.pushesBegun("dry/run:local"); n != 0 {
		t.Errorf("the dry-run pod's image was pushed %d times, want 0", n)
	}
}
