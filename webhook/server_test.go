package webhook_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admission/v1"

	"kind-local-registry/webhook"
)

// document returns the AdmissionReview of the creation of a pod.
func document(pod string) string {
	return `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"some-uid","operation":"CREATE",` +
		`"resource":{"version":"v1","resource":"pods"},"namespace":"default","object":` + pod + `}}`
}

func TestServeHTTP_AnswersWithTheSameUID(t *testing.T) {
	t.Parallel()
	recorder := httptest.NewRecorder()
	body := strings.NewReader(document(`{"spec":{"containers":[{"name":"a","image":"registry/x"}]}}`))
	webhook.NewServer(newHandler(t, logr.Discard())).ServeHTTP(recorder, httptest.NewRequest(http.MethodPost, "/pods", body))
	var review admissionv1.AdmissionReview
	if err := json.Unmarshal(recorder.Body.Bytes(), &review); err != nil {
		t.Fatalf("%v in %s", err, recorder.Body)
	}
	if r := review.Response; r == nil || r.UID != "some-uid" || !r.Allowed || len(r.Patch) == 0 || *r.PatchType != "JSONPatch" {
		t.Errorf("response = %+v, want it allowed, with a patch and the request's UID", r)
	}
	if review.Kind != "AdmissionReview" || review.APIVersion != "admission.k8s.io/v1" {
		t.Errorf("answered with a %s %s", review.APIVersion, review.Kind)
	}
}

// The API server takes any other status than 200 for a failed call, and lets the pod through: failurePolicy is Ignore.
func TestServeHTTP_FailsAndDoesNotDenyWhereThereIsNothingToAnswer(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"nothing":              "",
		"no JSON":              "{",
		"another kind":         `{"apiVersion":"v1","kind":"Pod"}`,
		"an older version":     `{"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview","request":{}}`,
		"no request":           `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}`,
		"more than is read":    document(`"` + strings.Repeat("x", 8<<20) + `"`),
		"deeper than JSON may": document(strings.Repeat("[", 10001)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			recorder := httptest.NewRecorder()
			request := httptest.NewRequest(http.MethodPost, "/pods", strings.NewReader(body))
			webhook.NewServer(newHandler(t, logr.Discard())).ServeHTTP(recorder, request)
			if recorder.Code < 400 || recorder.Code > 499 {
				t.Errorf("status %d, want an error: %s", recorder.Code, recorder.Body)
			}
		})
	}
}
