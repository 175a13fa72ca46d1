package chart

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kind-local-registry/config"
	"kind-local-registry/internal/pusher"
)

const manifest = `# comment
apiVersion: v1
kind: Service
metadata: {name: kind-local-registry}
---
# Source: webhook.yaml
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: kind-local-registry}
webhooks:
- name: pods.kind-local-registry.dev
  failurePolicy: Ignore
  clientConfig: {service: {name: kind-local-registry, namespace: kind-local-registry, port: 443}}
  namespaceSelector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: NotIn, values: [kube-system]}]}
`

// installedHooks returns the webhooks in the manifest.
func installedHooks(t *testing.T) []admissionv1.MutatingWebhook {
	t.Helper()
	decoded := &admissionv1.MutatingWebhookConfiguration{}
	if err := decode(manifest, decoded, "MutatingWebhookConfiguration", config.Name); err != nil {
		t.Fatal(err)
	}
	return decoded.Webhooks
}

func TestDecode_FailsForAnObjectThatIsNotInstalled(t *testing.T) {
	t.Parallel()
	if err := decode(manifest, &corev1.Service{}, "Service", "other"); err == nil || !strings.Contains(err.Error(), "Service other") {
		t.Errorf("decode = %v, want an error that names the object", err)
	}
}

func TestChanges_IgnoresWhatTheServerAndTheWebhookSet(t *testing.T) {
	t.Parallel()
	found := installedHooks(t)
	path, equivalent := "/mutate/token", admissionv1.Equivalent
	found[0].ClientConfig.CABundle, found[0].ClientConfig.Service.Path = []byte("CA"), &path
	found[0].ObjectSelector, found[0].MatchPolicy = &metav1.LabelSelector{}, &equivalent
	if changed := changes(installedHooks(t), found); len(changed) > 0 {
		t.Errorf("changes = %q, want none", changed)
	}
}

func TestChanges_NamesEachFieldAndMissingWebhook(t *testing.T) {
	t.Parallel()
	found := installedHooks(t)
	fail := admissionv1.Fail
	found[0].FailurePolicy, found[0].NamespaceSelector = &fail, &metav1.LabelSelector{MatchLabels: map[string]string{"rewrite": "yes"}}
	found[0].ClientConfig.Service.Name = "other"
	want := []string{
		"failurePolicy of pods.kind-local-registry.dev", "namespaceSelector of pods.kind-local-registry.dev",
		"clientConfig.service of pods.kind-local-registry.dev",
	}
	if diff := cmp.Diff(want, changes(installedHooks(t), found)); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"pods.kind-local-registry.dev is missing"}, changes(installedHooks(t), nil)); diff != "" {
		t.Errorf("changes without webhooks (-want +got):\n%s", diff)
	}
}

func TestCountFailedOpen_AddsUpThePodWebhook(t *testing.T) {
	t.Parallel()
	const page = `# HELP apiserver_admission_webhook_fail_open_count [ALPHA] Admission webhook fail open count
# TYPE apiserver_admission_webhook_fail_open_count counter
apiserver_admission_webhook_fail_open_count{name="pods.kind-local-registry.dev",type="admit"} 12
apiserver_admission_webhook_fail_open_count{name="other.example",type="admit"} 5
`
	for text, want := range map[string]int{page: 12, "": 0} {
		if got := countFailedOpen([]byte(text)); got != want {
			t.Errorf("countFailedOpen = %d, want %d", got, want)
		}
	}
}

func TestTrusted_NeedsAMatchingCAAndName(t *testing.T) {
	t.Parallel()
	one, err := pusher.NewCredentials(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		bundle, certificate []byte
		want                string
	}{
		"no bundle":      {certificate: one.ServerCert, want: "has no CA bundle"},
		"no certificate": {bundle: one.CA, want: "has no certificate"},
		"another name":   {bundle: one.CA, certificate: one.ServerCert, want: "does not trust the serving certificate"},
	} {
		if _, err := trusted(test.bundle, test.certificate, time.Now()); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want an error with %q", name, err, test.want)
		}
	}
}

func TestEnd_GivesUpOnlyOnAPodThatCannotSucceed(t *testing.T) {
	t.Parallel()
	unschedulable := corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{
		{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, Message: "0/2 nodes are available"},
	}}
	for name, test := range map[string]struct {
		status corev1.PodStatus
		after  time.Duration
		want   string
	}{
		"succeeded":            {status: corev1.PodStatus{Phase: corev1.PodSucceeded}},
		"running":              {status: corev1.PodStatus{Phase: corev1.PodRunning}, after: podTimeout, want: errRunning.Error()},
		"failed":               {status: corev1.PodStatus{Phase: corev1.PodFailed}, want: "the pod failed"},
		"not yet scheduled":    {status: unschedulable, after: time.Second, want: errRunning.Error()},
		"without a node, ever": {status: unschedulable, after: unschedulableTimeout + time.Second, want: errUnschedulable.Error()},
	} {
		err := end(&corev1.Pod{Status: test.status}, test.after)
		if got := text(err); got != test.want {
			t.Errorf("%s: end = %q, want %q", name, got, test.want)
		}
	}
	if got := waitingFor(&corev1.Pod{Status: unschedulable}); got != "0/2 nodes are available" {
		t.Errorf("waitingFor = %q, want the scheduler's message", got)
	}
}

// text returns an error's text, or "" for no error.
func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestWaitingFor_QuotesTheKubelet(t *testing.T) {
	t.Parallel()
	status := corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{{State: corev1.ContainerState{
		Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull", Message: "connection refused"},
	}}}}
	if got, want := waitingFor(&corev1.Pod{Status: status}), "ErrImagePull: connection refused"; got != want {
		t.Errorf("waitingFor = %q, want %q", got, want)
	}
}
