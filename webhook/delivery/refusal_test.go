package delivery

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kind-local-registry/config"
	"kind-local-registry/internal/rewrite"
)

func TestPush_PushesNoExcludedImage(t *testing.T) {
	t.Parallel()
	pod, behind := gatedPod(), &pusher{}
	pod.Annotations[config.OriginalsAnnotation] = `{"spec.containers{a}":"secret/app:1"}`
	pod.Spec.Containers[0].Image = "localhost:5001/secret/app:1"
	outcomes := reconciler(behind).push(t.Context(), marked(pod), marked(pod).Waiting())
	if len(behind.pushes) > 0 {
		t.Errorf("pushes = %v, want none", behind.pushes)
	}
	if len(outcomes) != 1 || !outcomes[0].refused() || outcomes[0].settled().Image != "secret/app:1" {
		t.Errorf("outcomes = %+v, want one that is refused and restores the original image", outcomes)
	}
}

func TestPush_TakesTheNewBuildIfTheNamedOneIsGone(t *testing.T) {
	t.Parallel()
	const build = "localhost:5001/x:1-0123456789ab"
	pod := gatedPod()
	pod.Spec.NodeName, pod.Spec.SchedulingGates = "node", nil
	pod.Spec.Containers[0].Image = build
	for name, tt := range map[string]struct {
		fails  error
		pushes []string
		want   string
	}{
		"the build is present": {nil, []string{build}, build},
		"the build is gone":    {&rewrite.Refusal{Reason: rewrite.NotOnHost}, []string{build, "x:1"}, "localhost:5001/x:1@" + someDigest},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			behind := &pusher{}
			if tt.fails != nil {
				behind.fails = map[string]error{build: tt.fails}
			}
			r := reconciler(behind)
			outcomes := r.push(t.Context(), marked(pod), marked(pod).Waiting()[1:2])
			if diff := cmp.Diff(tt.pushes, behind.pushes); diff != "" {
				t.Errorf("pushes (-want +got):\n%s", diff)
			}
			if got := outcomes[0].settled().Image; got != tt.want {
				t.Errorf("image = %s, want %s", got, tt.want)
			}
		})
	}
}

// refusing is a client that always returns the same pod. All its patches are refused, as if by a policy.
type refusing struct {
	client.Client
	pod *corev1.Pod
}

func (r refusing) Get(_ context.Context, _ client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	r.pod.DeepCopyInto(into.(*corev1.Pod))
	return nil
}

func (refusing) Patch(context.Context, client.Object, client.Patch, ...client.PatchOption) error {
	return apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "pod", errors.New("by a policy"))
}

// reasons records the reasons of Events.
type reasons []string

func (r *reasons) Eventf(_, _ runtime.Object, _, reason, _, _ string, _ ...any) {
	*r = append(*r, reason)
}

func TestReconcile_WritesAnEventIfItCannotUngate(t *testing.T) {
	t.Parallel()
	pod := gatedPod()
	pod.Annotations = nil // nothing to push, only a gate to remove
	events := &reasons{}
	r := reconciler(&pusher{})
	r.Client, r.Reader, r.Events = refusing{pod: pod}, refusing{pod: pod}, events
	_, err := r.Reconcile(t.Context(), reconcile.Request{NamespacedName: client.ObjectKeyFromObject(pod)})
	if !apierrors.IsForbidden(err) {
		t.Errorf("error = %v, want the policy's error, so that the pod is queued again", err)
	}
	if diff := cmp.Diff(reasons{ungateFailed}, *events); diff != "" {
		t.Errorf("Events (-want +got):\n%s", diff)
	}
}

func TestReconcile_OnlyUngatesInExemptNamespaces(t *testing.T) {
	t.Parallel()
	pod, behind, patched := gatedPod(), &pusher{}, &patches{}
	pod.Namespace = "kube-system"
	r := reconciler(behind)
	r.Client, r.Reader = patched, refusing{pod: pod}
	if _, err := r.Reconcile(t.Context(), reconcile.Request{NamespacedName: client.ObjectKeyFromObject(pod)}); err != nil {
		t.Fatal(err)
	}
	if len(behind.pushes) > 0 {
		t.Errorf("pushes = %v, want none", behind.pushes)
	}
	if len(patched.made) != 1 || strings.Contains(patched.made[0], "image\"") || !strings.Contains(patched.made[0], "schedulingGates") {
		t.Errorf("patches = %v, want one that only removes the gate", patched.made)
	}
}
