package charts_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/pod-security-admission/api"

	"kind-local-registry/config"
)

// readyJob returns the Job that ends an installation.
func readyJob(t *testing.T, values map[string]any) *batchv1.Job {
	t.Helper()
	job := find[batchv1.Job](t, render(t, values), "Job", config.ReadyJob)
	if job == nil {
		t.Fatalf("there is no Job %s", config.ReadyJob)
	}
	return job
}

func TestReady_IsWaitedForAfterInstallationsAndUpgrades(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"helm.sh/hook":                   "post-install,post-upgrade",
		"helm.sh/hook-delete-policy":     "before-hook-creation,hook-succeeded",
		"helm.sh/hook-output-log-policy": "hook-failed",
	}
	if diff := cmp.Diff(want, readyJob(t, nil).Annotations); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
}

func TestReady_IsPodSecurityRestrictedAlsoWhereTheWebhookHasTheSocket(t *testing.T) {
	t.Parallel()
	for _, socket := range []bool{false, true} {
		job := readyJob(t, map[string]any{"docker": map[string]any{"socket": socket}})
		if ok, why := isOfLevel(t, api.LevelRestricted, job.Spec.Template); !ok {
			t.Errorf("with docker.socket %v the Job's pod is not restricted: %s", socket, why)
		}
	}
}

func TestReady_RunsWhereAndAsWhatTheWebhookDoes(t *testing.T) {
	t.Parallel()
	values := map[string]any{"nodeSelector": map[string]any{"disk": "fast"}, "image": map[string]any{"tag": "v1"}}
	got := readyJob(t, values).Spec.Template.Spec
	want := find[appsv1.Deployment](t, render(t, values), "Deployment", config.Name).Spec.Template.Spec
	if diff := cmp.Diff(placement(want), placement(got)); diff != "" {
		t.Errorf("the Job's pod (-webhook +got):\n%s", diff)
	}
}

// placement is what of the pod decides where it runs, and as what.
func placement(pod corev1.PodSpec) corev1.PodSpec {
	return corev1.PodSpec{
		ServiceAccountName: pod.ServiceAccountName, NodeSelector: pod.NodeSelector, Tolerations: pod.Tolerations,
		Containers: []corev1.Container{{Image: pod.Containers[0].Image, ImagePullPolicy: pod.Containers[0].ImagePullPolicy}},
	}
}

func TestReady_HasNoPodThatTheServiceLeadsTo(t *testing.T) {
	t.Parallel()
	objects := render(t, nil)
	toWebhook := labels.SelectorFromSet(find[corev1.Service](t, objects, "Service", config.Name).Spec.Selector)
	if pod := labels.Set(readyJob(t, nil).Spec.Template.Labels); toWebhook.Matches(pod) {
		t.Errorf("the Service selects %s, and so the Job's pod: %s", toWebhook, pod)
	}
	webhook := find[appsv1.Deployment](t, objects, "Deployment", config.Name)
	if !toWebhook.Matches(labels.Set(webhook.Spec.Template.Labels)) {
		t.Errorf("the Service selects %s, and so not the webhook's pods", toWebhook)
	}
}

// What a person is shown is the program's reason, and not that Kubernetes or Helm, which waits three minutes when setup
// runs it, lost patience.
func TestReady_GivesUpBeforeItIsKilled(t *testing.T) {
	t.Parallel()
	spec := readyJob(t, nil).Spec
	if args, want := spec.Template.Spec.Containers[0].Args, "--timeout=1m"; !slices.Contains(args, want) {
		t.Errorf("args = %q, want %s among them", args, want)
	}
	deadline := time.Duration(*spec.ActiveDeadlineSeconds) * time.Second
	if deadline <= time.Minute || deadline >= 3*time.Minute {
		t.Errorf("the Job may take %s, want more than the program's minute and less than Helm's three", deadline)
	}
}
