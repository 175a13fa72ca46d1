//go:build api

package api

import (
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	admissionapi "k8s.io/api/admission/v1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kind-local-registry/config"
)

// addInjector registers another mutating webhook for a namespace's pods. Like a service mesh's webhook, it adds a container with
// the given name and image to every pod that has no container of that name yet. The API server calls webhooks in the order of
// their names.
func addInjector(t *testing.T, name, ns, image string) {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var review admissionapi.AdmissionReview
		if err == nil {
			err = json.Unmarshal(body, &review)
		}
		var p corev1.Pod
		if err == nil {
			err = json.Unmarshal(review.Request.Object.Raw, &p)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		review.Response = &admissionapi.AdmissionResponse{UID: review.Request.UID, Allowed: true}
		if !slices.ContainsFunc(p.Spec.Containers, func(c corev1.Container) bool { return c.Name == name }) {
			review.Response.PatchType = new(admissionapi.PatchTypeJSONPatch)
			review.Response.Patch = []byte(`[{"op":"add","path":"/spec/containers/-","value":{"name":"` + name + `","image":"` + image + `"}}]`)
		}
		_ = json.NewEncoder(w).Encode(review)
	}))
	t.Cleanup(server.Close)
	caBundle := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	configuration := &admissionv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Webhooks: []admissionv1.MutatingWebhook{{
			Name:                    name + ".example.com",
			ClientConfig:            admissionv1.WebhookClientConfig{URL: &server.URL, CABundle: caBundle},
			AdmissionReviewVersions: []string{"v1"},
			SideEffects:             new(admissionv1.SideEffectClassNone),
			ReinvocationPolicy:      new(admissionv1.IfNeededReinvocationPolicy),
			NamespaceSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: ns}},
			Rules: []admissionv1.RuleWithOperations{{
				Operations: []admissionv1.OperationType{admissionv1.Create},
				Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
			}},
		}},
	}
	if err := shared.Create(t.Context(), configuration); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := shared.Delete(t.Context(), configuration); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
}

func TestAdmission_RewritesContainersInjectedByOtherWebhooks(t *testing.T) {
	shared.host.add("mesh/app:local", image{})
	shared.host.add("mesh/first:local", image{inRegistry: true})
	shared.host.add("mesh/last:local", image{inRegistry: true})
	ns := newNamespace(t)
	addInjector(t, "a-first", ns, "mesh/first:local")
	addInjector(t, "z-last", ns, "mesh/last:local")

	// The API server notices the two webhooks only some time after they are created.
	var p *corev1.Pod
	await(t, "injected by both", func() bool {
		p = pod(ns, "mesh/app:local")
		p.Name, p.GenerateName = "", "app-"
		return len(create(t, p).Spec.Containers) >= 3
	})
	if !gated(p) || len(p.Spec.SchedulingGates) != 1 {
		t.Errorf("gates = %v, want only our gate", p.Spec.SchedulingGates)
	}
	eventually(t, p, "ungated", ungated)
	for _, c := range p.Spec.Containers {
		want := map[string]string{"a-first": "mesh/first:local", "z-last": "mesh/last:local", "c0": "mesh/app:local"}[c.Name]
		if c.Image != pinned(want) {
			t.Errorf("image of container %s = %s, want %s", c.Name, c.Image, pinned(want))
		}
	}
	var originals map[string]string
	if err := json.Unmarshal([]byte(p.Annotations[config.OriginalsAnnotation]), &originals); err != nil {
		t.Fatal(err)
	}
	if len(originals) != len(p.Spec.Containers) || originals["spec.containers{z-last}"] != "mesh/last:local" {
		t.Errorf("originals = %v, want those of all containers", originals)
	}
}
