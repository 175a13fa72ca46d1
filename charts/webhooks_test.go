package charts_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kind-local-registry/config"
	"kind-local-registry/webhook"
)

// rule returns the rule for one operation on one resource of core/v1.
func rule(operation admissionv1.OperationType, resource string) admissionv1.RuleWithOperations {
	return admissionv1.RuleWithOperations{
		Operations: []admissionv1.OperationType{operation},
		Rule: admissionv1.Rule{
			APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{resource},
			Scope: new(admissionv1.NamespacedScope),
		},
	}
}

// clientConfig returns the client configuration that all webhooks have in the chart, so that the API server uses the same
// connections for all. The running webhook adds the path.
func clientConfig() admissionv1.WebhookClientConfig {
	return admissionv1.WebhookClientConfig{Service: &admissionv1.ServiceReference{
		Namespace: config.Name, Name: config.Name, Port: new(int32(443)),
	}}
}

// podsWebhook returns the pod webhook. It fails open.
func podsWebhook() admissionv1.MutatingWebhook {
	return admissionv1.MutatingWebhook{
		Name:                    config.WebhookName,
		AdmissionReviewVersions: []string{"v1"},
		ClientConfig:            clientConfig(),
		Rules: []admissionv1.RuleWithOperations{
			rule(admissionv1.Create, "pods"), rule(admissionv1.Update, "pods"),
			rule(admissionv1.Update, "pods/ephemeralcontainers"),
		},
		FailurePolicy:      new(admissionv1.Ignore),
		TimeoutSeconds:     new(int32(5)),
		SideEffects:        new(admissionv1.SideEffectClassNoneOnDryRun),
		MatchPolicy:        new(admissionv1.Equivalent),
		ReinvocationPolicy: new(admissionv1.IfNeededReinvocationPolicy),
		NamespaceSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{
			Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpNotIn,
			Values: config.ExemptNamespaces(),
		}}},
		MatchConditions: []admissionv1.MatchCondition{{
			Name: "not-a-mirror-pod",
			Expression: "!has(object.metadata.annotations) || " +
				"!('kubernetes.io/config.mirror' in object.metadata.annotations)",
		}, {
			Name: "image-changed",
			Expression: "request.operation != 'UPDATE' || (has(request.subResource) && request.subResource != '') || " +
				"(request.userInfo.username != '" + config.ServiceAccountUser() + "' && " +
				"(object.spec.containers.map(c, c.image) != oldObject.spec.containers.map(c, c.image) || " +
				"(has(object.spec.initContainers) ? object.spec.initContainers.map(c, c.image) : []) != " +
				"(has(oldObject.spec.initContainers) ? oldObject.spec.initContainers.map(c, c.image) : [])))",
		}},
	}
}

// workloadsWebhook returns the webhook for workloads. It fails open, and it has no side effects.
func workloadsWebhook() admissionv1.MutatingWebhook {
	rule := func(group string, resources ...string) admissionv1.RuleWithOperations {
		return admissionv1.RuleWithOperations{
			Operations: []admissionv1.OperationType{admissionv1.Create, admissionv1.Update},
			Rule: admissionv1.Rule{
				APIGroups: []string{group}, APIVersions: []string{"v1"}, Resources: resources, Scope: new(admissionv1.NamespacedScope),
			},
		}
	}
	return admissionv1.MutatingWebhook{
		Name:                    config.WorkloadWebhookName,
		AdmissionReviewVersions: []string{"v1"},
		ClientConfig:            clientConfig(),
		Rules: []admissionv1.RuleWithOperations{
			rule("apps", "deployments", "statefulsets", "daemonsets"), rule("batch", "jobs", "cronjobs"),
		},
		FailurePolicy:     new(admissionv1.Ignore),
		TimeoutSeconds:    new(int32(2)),
		SideEffects:       new(admissionv1.SideEffectClassNone),
		MatchPolicy:       new(admissionv1.Equivalent),
		NamespaceSelector: podsWebhook().NamespaceSelector,
		MatchConditions: []admissionv1.MatchCondition{
			{Name: "not-owned", Expression: "!has(object.metadata.ownerReferences)"},
			{Name: "spec-changed", Expression: "request.operation != 'UPDATE' || object.spec != oldObject.spec"},
		},
	}
}

// probeWebhook returns the probe webhook. It may fail closed, because it is called only for ConfigMaps in our namespace that have
// our label.
func probeWebhook() admissionv1.MutatingWebhook {
	return admissionv1.MutatingWebhook{
		Name:                    config.ProbeWebhookName,
		AdmissionReviewVersions: []string{"v1"},
		ClientConfig:            clientConfig(),
		Rules:                   []admissionv1.RuleWithOperations{rule(admissionv1.Create, "configmaps")},
		FailurePolicy:           new(admissionv1.Fail),
		TimeoutSeconds:          new(int32(2)),
		SideEffects:             new(admissionv1.SideEffectClassNone),
		NamespaceSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: config.Name}},
		ObjectSelector:          &metav1.LabelSelector{MatchLabels: map[string]string{config.ProbeLabel: "true"}},
	}
}

func TestWebhooks_AreCalledOnlyForImagesWorkloadsAndProbes(t *testing.T) {
	t.Parallel()
	got := find[admissionv1.MutatingWebhookConfiguration](t, render(t, nil), "MutatingWebhookConfiguration", config.Name)
	want := []admissionv1.MutatingWebhook{podsWebhook(), workloadsWebhook(), probeWebhook()}
	if diff := cmp.Diff(want, got.Webhooks); diff != "" {
		t.Errorf("webhooks (-want +got):\n%s", diff)
	}
}

func TestWebhook_AnswersWithinTheTimeoutOfItsCall(t *testing.T) {
	t.Parallel()
	const margin = time.Second // for the queue, the patch and the network
	if timeout := time.Duration(*podsWebhook().TimeoutSeconds) * time.Second; webhook.Budget+margin > timeout {
		t.Errorf("the webhook decides within %s and the API server waits for %s, want a margin of %s", webhook.Budget, timeout, margin)
	}
}
