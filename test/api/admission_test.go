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

func TestAdmission_RunsWhatTheRegistryHoldsByDigest(t *testing.T) {
	t.Parallel()
	shared.host.have("held/app:local", image{inRegistry: true})
	p := create(t, pod(namespace(t), "held/app:local", "registry.invalid/else:1"))

	wantImages(t, p, pinned("held/app:local"), "registry.invalid/else:1")
	if len(p.Spec.SchedulingGates) > 0 {
		t.Errorf("gates = %v, want none", p.Spec.SchedulingGates)
	}
	want := `{"spec.containers{c0}":"held/app:local"}`
	if got := p.Annotations[config.OriginalsAnnotation]; got != want {
		t.Errorf("originals = %s, want %s", got, want)
	}
}

func TestAdmission_RewritesInitContainers(t *testing.T) {
	t.Parallel()
	shared.host.have("held/init:local", image{inRegistry: true})
	p := pod(namespace(t), "registry.invalid/else:1")
	always := corev1.ContainerRestartPolicyAlways
	p.Spec.InitContainers = []corev1.Container{{Name: "side", Image: "held/init:local", RestartPolicy: &always}}
	create(t, p)

	wantImages(t, p, pinned("held/init:local"), "registry.invalid/else:1")
	if got := p.Spec.InitContainers[0].RestartPolicy; got == nil || *got != always {
		t.Errorf("restart policy of the sidecar = %v, want %s", got, always)
	}
}

func TestAdmission_ChangesNothingElseOfAPod(t *testing.T) {
	t.Parallel()
	shared.host.have("held/rich:local", image{inRegistry: true})
	rich := func(image string) *corev1.Pod {
		p := pod(namespace(t), image)
		p.Labels = map[string]string{"app": "rich"}
		p.Spec.HostAliases = []corev1.HostAlias{{IP: "10.0.0.1", Hostnames: []string{"other"}}}
		p.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "EMPTY"}, {Name: "FULL", Value: "1"}}
		p.Spec.Containers[0].ResizePolicy = []corev1.ContainerResizePolicy{
			{ResourceName: corev1.ResourceCPU, RestartPolicy: corev1.RestartContainer},
		}
		return create(t, p)
	}
	ours, foreign := rich("held/rich:local"), rich("registry.invalid/rich:local")
	if diff := cmp.Diff(foreign.Spec, ours.Spec, cmpopts.IgnoreFields(corev1.Container{}, "Image")); diff != "" {
		t.Errorf("a rewritten pod differs from one that is not (-untouched +rewritten):\n%s", diff)
	}
}

func TestAdmission_LeavesTheSystemAlone(t *testing.T) {
	t.Parallel()
	shared.host.have("held/system:local", image{inRegistry: true})
	p := pod("kube-system", "held/system:local")
	p.GenerateName, p.Name = "system-", ""
	create(t, p)
	wantImages(t, p, "held/system:local")
}

func TestAdmission_LeavesPodsAloneThatAskForIt(t *testing.T) {
	t.Parallel()
	shared.host.have("held/optout:local", image{inRegistry: true})
	p := pod(namespace(t), "held/optout:local")
	p.Annotations = map[string]string{"kind-local-registry/rewrite": "false"}
	create(t, p)
	wantImages(t, p, "held/optout:local")
}

func TestAdmission_LetsTheKubeletPullWhatWasNeverToBePulled(t *testing.T) {
	t.Parallel()
	shared.host.have("held/never:local", image{inRegistry: true})
	p := pod(namespace(t), "held/never:local")
	p.Spec.Containers[0].ImagePullPolicy = corev1.PullNever
	create(t, p)
	wantImages(t, p, pinned("held/never:local"))
	if got := p.Spec.Containers[0].ImagePullPolicy; got != corev1.PullIfNotPresent {
		t.Errorf("imagePullPolicy = %s, want %s", got, corev1.PullIfNotPresent)
	}
}

func TestAdmission_LeavesNothingBehindAfterADryRun(t *testing.T) {
	t.Parallel()
	shared.host.have("dry/run:local", image{})
	p := create(t, pod(namespace(t), "dry/run:local"), client.DryRunAll)

	wantImages(t, p, "localhost:5001/dry/run:local")
	if !gated(p) {
		t.Error("the answer to the dry run has no gate, want what a real pod would get")
	}
	if err := shared.Get(t.Context(), client.ObjectKeyFromObject(p), p); !apierrors.IsNotFound(err) {
		t.Errorf("reading the pod: %v, want that it is not there", err)
	}
	// A pod that comes later is served, and nothing was pushed for the dry run until then.
	shared.host.have("dry/later:local", image{})
	eventually(t, create(t, pod(p.Namespace, "dry/later:local")), "free", free)
	if n := shared.host.pushed("dry/run:local"); n != 0 {
		t.Errorf("the image of the dry run was pushed %d times, want never", n)
	}
}
