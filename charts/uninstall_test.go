package charts_test

import (
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/pod-security-admission/api"

	"kind-local-registry/config"
)

// uninstallJob returns the Job that runs before the chart is uninstalled.
func uninstallJob(t *testing.T, values map[string]any) *batchv1.Job {
	t.Helper()
	job := find[batchv1.Job](t, render(t, values), "Job", config.UninstallJob)
	if job == nil {
		t.Fatalf("no Job %s", config.UninstallJob)
	}
	return job
}

func TestUninstall_RunsBeforeHelmUninstalls(t *testing.T) {
	t.Parallel()
	if hook := uninstallJob(t, nil).Annotations["helm.sh/hook"]; hook != "pre-delete" {
		t.Errorf("hook = %q, want pre-delete", hook)
	}
}

func TestUninstall_RunsWebhooksImageWithItsRights(t *testing.T) {
	t.Parallel()
	values := map[string]any{"image": map[string]any{"tag": "v1"}, "registry": map[string]any{"host": "localhost:5002"}}
	pod := uninstallJob(t, values).Spec.Template.Spec
	like := find[appsv1.Deployment](t, render(t, values), "Deployment", config.Name).Spec.Template.Spec
	if got, want := pod.Containers[0].Image, like.Containers[0].Image; got != want {
		t.Errorf("image = %s, want the webhook's, %s", got, want)
	}
	if got, want := pod.ServiceAccountName, like.ServiceAccountName; got != want {
		t.Errorf("service account = %s, want the webhook's, %s", got, want)
	}
	if got, want := pod.Containers[0].Args, []string{"uninstall", "--registry-host=localhost:5002"}; !slices.Equal(got, want) {
		t.Errorf("args = %q, want %q", got, want)
	}
}

func TestUninstall_IsRestrictedEvenWithDockerSocket(t *testing.T) {
	t.Parallel()
	for _, socket := range []bool{false, true} {
		job := uninstallJob(t, map[string]any{"docker": map[string]any{"socket": socket}})
		if ok, why := meetsLevel(t, api.LevelRestricted, job.Spec.Template); !ok {
			t.Errorf("pod with docker.socket=%v is not PodSecurity restricted: %s", socket, why)
		}
	}
}

// If the Service selected the Job's pod, it would send admission requests to that pod.
func TestUninstall_IsNotSelectedByTheService(t *testing.T) {
	t.Parallel()
	service := find[corev1.Service](t, render(t, nil), "Service", config.Name)
	pod := labels.Set(uninstallJob(t, nil).Spec.Template.Labels)
	if labels.SelectorFromSet(service.Spec.Selector).Matches(pod) {
		t.Errorf("Service's selector %v matches the Job's pod %v, want no match", service.Spec.Selector, pod)
	}
}

// If the chart set the Lease's spec, every upgrade would reset it.
func TestLease_HasNoSpec(t *testing.T) {
	t.Parallel()
	lease := find[coordinationv1.Lease](t, render(t, nil), "Lease", config.Name)
	if lease == nil || lease.Spec != (coordinationv1.LeaseSpec{}) {
		t.Errorf("lease = %v, want it without a spec", lease)
	}
}
