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

// readyJob returns the Job that waits, at the end of an installation, until the API server's calls reach the webhook.
func readyJob(t *testing.T, values map[string]any) *batchv1.Job {
	t.Helper()
	job := find[batchv1.Job](t, render(t, values), "Job", config.ReadyJob)
	if job == nil {
		t.Fatalf("no Job %s", config.ReadyJob)
	}
	return job
}

func TestReady_IsHookAfterInstallAndUpgrade(t *testing.T) {
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

func TestReady_IsRestrictedEvenWithDockerSocket(t *testing.T) {
	t.Parallel()
	for _, socket := range []bool{false, true} {
		job := readyJob(t, map[string]any{"docker": map[string]any{"socket": socket}})
		if ok, why := meetsLevel(t, api.LevelRestricted, job.Spec.Template); !ok {
			t.Errorf("pod with docker.socket=%v is not PodSecurity restricted: %s", socket, why)
		}
	}
}

func TestJobs_HavePlacementAndImageOfWebhook(t *testing.T) {
	t.Parallel()
	values := map[string]any{
		"nodeSelector": map[string]any{"disk": "fast"}, "image": map[string]any{"tag": "v1"},
		"tolerations": []any{map[string]any{"key": "a", "operator": "Exists"}, map[string]any{"key": "b", "value": "c"}},
	}
	want := find[appsv1.Deployment](t, render(t, values), "Deployment", config.Name).Spec.Template.Spec
	if len(want.NodeSelector) != 1 || len(want.Tolerations) != 2 {
		t.Errorf("webhook's pod has node selector %v and tolerations %v, want the node selector and tolerations from the values", want.NodeSelector, want.Tolerations)
	}
	for _, job := range []*batchv1.Job{readyJob(t, values), uninstallJob(t, values)} {
		if diff := cmp.Diff(placement(want), placement(job.Spec.Template.Spec)); diff != "" {
			t.Errorf("pod of Job %s (-webhook +got):\n%s", job.Name, diff)
		}
	}
}

// placement returns the fields that decide where a pod runs, with which image, and with which rights.
func placement(pod corev1.PodSpec) corev1.PodSpec {
	return corev1.PodSpec{
		ServiceAccountName: pod.ServiceAccountName, NodeSelector: pod.NodeSelector, Tolerations: pod.Tolerations,
		Containers: []corev1.Container{{Image: pod.Containers[0].Image, ImagePullPolicy: pod.Containers[0].ImagePullPolicy}},
	}
}

func TestReady_IsNotSelectedByTheService(t *testing.T) {
	t.Parallel()
	objects := render(t, nil)
	toWebhook := labels.SelectorFromSet(find[corev1.Service](t, objects, "Service", config.Name).Spec.Selector)
	if pod := labels.Set(readyJob(t, nil).Spec.Template.Labels); toWebhook.Matches(pod) {
		t.Errorf("Service's selector %s matches the Job's pod %s, want no match", toWebhook, pod)
	}
	webhook := find[appsv1.Deployment](t, objects, "Deployment", config.Name)
	if !toWebhook.Matches(labels.Set(webhook.Spec.Template.Labels)) {
		t.Errorf("Service's selector %s does not match the webhook's pods", toWebhook)
	}
}

// The user must see the program's own error, not a timeout error from Kubernetes or Helm. Helm waits for three minutes when setup
// runs it.
func TestReady_TimesOutBeforeKubernetesAndHelm(t *testing.T) {
	t.Parallel()
	spec := readyJob(t, nil).Spec
	if args, want := spec.Template.Spec.Containers[0].Args, "--timeout=1m"; !slices.Contains(args, want) {
		t.Errorf("args = %q, want %s among them", args, want)
	}
	deadline := time.Duration(*spec.ActiveDeadlineSeconds) * time.Second
	if deadline <= time.Minute || deadline >= 3*time.Minute {
		t.Errorf("activeDeadlineSeconds = %s, want more than the program's minute and less than Helm's three", deadline)
	}
}
