package webhook_test

import (
	"encoding/json"
	"testing"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"

	"kind-local-registry/webhook/webhooktest"
)

// probing returns a request that creates the ConfigMap.
func probing(configMap string) *admissionv1.AdmissionRequest {
	request := creation(configMap)
	request.Resource.Resource = "configmaps"
	return request
}

func TestHandle_AddsItsNameToProbes(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		probe string
		want  map[string]string
	}{
		"without data": {
			`{"metadata":{"labels":{"kind-local-registry/probe":"true"}}}`,
			map[string]string{"answered-by": "some-pod"},
		},
		"with data": {
			`{"metadata":{"labels":{"kind-local-registry/probe":"true"}},"data":{"a":"b","answered-by":"nobody"}}`,
			map[string]string{"a": "b", "answered-by": "some-pod"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			request := probing(tt.probe)
			response := webhooktest.NewHandler(t, logr.Discard()).Handle(t.Context(), request)
			if !response.Allowed || response.UID != request.UID || response.PatchType == nil || *response.PatchType != "JSONPatch" {
				t.Fatalf("Handle = %+v, want it allowed, with a JSON Patch and the request's UID", response)
			}
			patched, err := applyPatch(request.Object.Raw, response.Patch)
			if err != nil {
				t.Fatalf("applying %s: %v", response.Patch, err)
			}
			got := corev1.ConfigMap{}
			if err := json.Unmarshal(patched, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got.Data); diff != "" {
				t.Errorf("data (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHandle_LeavesOtherConfigMapsUnchanged(t *testing.T) {
	t.Parallel()
	update := probing(`{"metadata":{"labels":{"kind-local-registry/probe":"true"}}}`)
	update.Operation = admissionv1.Update
	for name, request := range map[string]*admissionv1.AdmissionRequest{
		"without the label":        probing(`{"metadata":{"name":"a"}}`),
		"with another label value": probing(`{"metadata":{"labels":{"kind-local-registry/probe":"false"}}}`),
		"not JSON":                 probing(`{`),
		"an update of a probe":     update,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			response := webhooktest.NewHandler(t, logr.Discard()).Handle(t.Context(), request)
			if !response.Allowed || response.Patch != nil || response.UID != request.UID {
				t.Errorf("Handle = %+v, want it allowed and untouched", response)
			}
		})
	}
}

func TestHandle_LogsNoProbes(t *testing.T) {
	t.Parallel()
	log := funcr.New(func(_, line string) { t.Errorf("logged %s", line) }, funcr.Options{Verbosity: 0})
	webhooktest.NewHandler(t, log).Handle(t.Context(), probing(`{"metadata":{"labels":{"kind-local-registry/probe":"true"}}}`))
}
