package chart

import (
	"context"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

const planted = "S3cr3tV4lue"

func TestObject_OmitsWhatIsSecretInAnObject(t *testing.T) {
	t.Parallel()
	path := "/mutate/" + planted
	meta := metav1.ObjectMeta{
		Annotations:   map[string]string{corev1.LastAppliedConfigAnnotation: planted, "kept": "annotation"},
		ManagedFields: []metav1.ManagedFieldsEntry{{Manager: planted}},
	}
	for name, found := range map[string]runtime.Object{
		"webhook configuration": &admissionv1.MutatingWebhookConfigurationList{Items: []admissionv1.MutatingWebhookConfiguration{{
			ObjectMeta: meta,
			Webhooks: []admissionv1.MutatingWebhook{{
				ClientConfig: admissionv1.WebhookClientConfig{Service: &admissionv1.ServiceReference{Path: &path}},
			}},
		}}},
		"pod": &corev1.PodList{Items: []corev1.Pod{{ObjectMeta: meta, Spec: corev1.PodSpec{
			InitContainers: []corev1.Container{{Env: []corev1.EnvVar{{Name: "DATABASE", Value: planted}}}},
			Containers:     []corev1.Container{{Env: []corev1.EnvVar{{Name: "GOMEMLIMIT", Value: "48MiB"}, {Name: "KEY", Value: planted}}}},
		}}}},
	} {
		source := object("objects", func(context.Context) (runtime.Object, error) { return found, nil })
		content, err := source.Read(t.Context())
		if err != nil || strings.Contains(string(content), planted) || !strings.Contains(string(content), "kept: annotation") {
			t.Errorf("%s: %v, want it without %s and with the other annotation:\n%s", name, err, planted, content)
		}
		if name == "pod" && !strings.Contains(string(content), "48MiB") {
			t.Errorf("%s lacks a harmless variable:\n%s", name, content)
		}
	}
}
