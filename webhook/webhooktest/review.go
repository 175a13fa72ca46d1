package webhooktest

import (
	"encoding/json"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
)

// Document returns an AdmissionReview that creates the pod, which is given as JSON.
func Document(pod string) string {
	return `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"some-uid","operation":"CREATE",` +
		`"resource":{"version":"v1","resource":"pods"},"namespace":"default","object":` + pod + `}}`
}

// Response returns the response from the AdmissionReview in the answer.
func Response(t *testing.T, answer []byte) *admissionv1.AdmissionResponse {
	t.Helper()
	var review admissionv1.AdmissionReview
	if err := json.Unmarshal(answer, &review); err != nil || review.Response == nil {
		t.Fatalf("no response in %q: %v", answer, err)
	}
	return review.Response
}
