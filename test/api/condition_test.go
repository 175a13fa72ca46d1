//go:build api

package api

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	admissionapi "k8s.io/api/admission/v1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kind-local-registry/config"
)

// countCalls registers another webhook for a namespace's pods, with our rules and match conditions. It returns a counter of the
// calls to that webhook.
func countCalls(t *testing.T, ns string) *atomic.Int64 {
	t.Helper()
	calls := &atomic.Int64{}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		var review admissionapi.AdmissionReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		review.Response = &admissionapi.AdmissionResponse{UID: review.Request.UID, Allowed: true}
		_ = json.NewEncoder(w).Encode(review)
	}))
	t.Cleanup(server.Close)
	ours := &admissionv1.MutatingWebhookConfiguration{}
	if err := shared.Get(t.Context(), client.ObjectKey{Name: config.Name}, ours); err != nil {
		t.Fatal(err)
	}
	counting := &admissionv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: ns}, Webhooks: ours.Webhooks[:1],
	}
	counting.Webhooks[0].ClientConfig = admissionv1.WebhookClientConfig{
		URL:      &server.URL,
		CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
	}
	counting.Webhooks[0].NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: ns}}
	counting.Webhooks[0].FailurePolicy = new(admissionv1.Fail) // with Fail, a match condition that cannot be evaluated fails the request
	if err := shared.Create(t.Context(), counting); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := shared.Delete(context.Background(), counting); err != nil {
			t.Error(err)
		}
	})
	await(t, "called", func() bool {
		_ = shared.Create(t.Context(), pod(ns, "registry.invalid/else:1"), client.DryRunAll)
		return calls.Load() > 0
	})
	return calls
}

// largePod returns a pod with n containers and n init containers.
func largePod(ns string, n int) *corev1.Pod {
	p := pod(ns)
	for i := range n {
		image := fmt.Sprintf("registry.invalid/else:%d", i)
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: fmt.Sprintf("c%d", i), Image: image})
		p.Spec.InitContainers = append(p.Spec.InitContainers, corev1.Container{Name: fmt.Sprintf("i%d", i), Image: image})
	}
	return p
}

func TestConditions_CallTheWebhookOnlyIfAnImageChanges(t *testing.T) {
	t.Parallel()
	needVersion(t, "1.28", "match conditions by default")
	ns := newNamespace(t)
	calls := countCalls(t, ns)
	p := largePod(ns, 300)
	p.Annotations = map[string]string{config.RewriteAnnotation: "false"}
	plain := pod(ns, "registry.invalid/else:1")
	plain.Name = "plain"
	for _, created := range []*corev1.Pod{p, plain} {
		wantCalled(t, "creation", calls, true, func() error { return shared.Create(t.Context(), created) })
	}
	ours := webhookClient(t)
	patch := func(c client.Client, p *corev1.Pod, patch string) func() error {
		return func() error {
			return c.Patch(t.Context(), p.DeepCopy(), client.RawPatch(types.JSONPatchType, []byte(patch)))
		}
	}
	const replace = `[{"op":"replace","path":"/spec/%s/0/image","value":"%s"}]`
	failPulls(t, plain)
	for name, tt := range map[string]struct {
		update func() error
		want   bool
	}{
		"a label":                 {patch(shared, p, `[{"op":"add","path":"/metadata/labels","value":{"a":"b"}}]`), false},
		"no field":                {patch(shared, p, `[{"op":"replace","path":"/spec/containers/1/image","value":"registry.invalid/else:1"}]`), false},
		"a container's image":     {patch(shared, p, fmt.Sprintf(replace, "containers", "registry.invalid/a:1")), true},
		"an init container's":     {patch(shared, p, fmt.Sprintf(replace, "initContainers", "registry.invalid/b:1")), true},
		"an image by the webhook": {patch(ours, plain, fmt.Sprintf(replace, "containers", "localhost:5001/else:1")), false},
		"the status":              {func() error { failPulls(t, p); return nil }, false},
		"an ephemeral container":  {func() error { debug(t, p.DeepCopy(), "one", "registry.invalid/else:1"); return nil }, true},
	} {
		wantCalled(t, "update of "+name, calls, tt.want, tt.update)
	}
}

// wantCalled makes the request. It fails the test if the API server calls the webhook although want is false, or does not call it
// although want is true. The API server may call the webhook twice if the pod in its cache is stale.
func wantCalled(t *testing.T, what string, calls *atomic.Int64, want bool, request func() error) {
	t.Helper()
	before := calls.Load()
	if err := request(); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if got := calls.Load() > before; got != want {
		t.Errorf("%s: webhook called = %v, want %v", what, got, want)
	}
}
