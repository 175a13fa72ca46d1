package endpoint_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admission/v1"

	"kind-local-registry/webhook"
	"kind-local-registry/webhook/endpoint"
	"kind-local-registry/webhook/webhooktest"
)

// knownPath is the API server's path in these tests.
const knownPath = "/pods/some-token"

// newServer returns an endpoint that recognises the API server by knownPath.
func newServer(handler *webhook.Handler) *endpoint.Handler {
	return endpoint.New(handler, func() string { return "some-token" })
}

// post sends the document to the path and returns the response.
func post(server *endpoint.Handler, path, document string) *httptest.ResponseRecorder {
	return record(server, httptest.NewRequest(http.MethodPost, path, strings.NewReader(document)))
}

// strangers returns a request from a caller that is not the API server.
func strangers(t *testing.T, document string) *http.Request {
	t.Helper()
	return httptest.NewRequestWithContext(t.Context(), http.MethodPost, webhook.Path, strings.NewReader(document))
}

// record sends the request and returns the response.
func record(server *endpoint.Handler, request *http.Request) *httptest.ResponseRecorder {
	recorder := httptest.NewRecorder()
	server.ServeHTTP(recorder, request)
	return recorder
}

func TestServeHTTP_AnswersWithTheSameUID(t *testing.T) {
	t.Parallel()
	recorder := httptest.NewRecorder()
	body := strings.NewReader(webhooktest.Document(`{"spec":{"containers":[{"name":"a","image":"registry/x"}]}}`))
	newServer(webhooktest.NewHandler(t, logr.Discard())).ServeHTTP(recorder, httptest.NewRequest(http.MethodPost, knownPath, body))
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

// The API server treats any status except 200 as a failed call. With failurePolicy: Ignore, it then admits the pod.
func TestServeHTTP_FailsWithoutADenial(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"nothing":               "",
		"no JSON":               "{",
		"another kind":          `{"apiVersion":"v1","kind":"Pod"}`,
		"an older version":      `{"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview","request":{}}`,
		"no request":            `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}`,
		"larger than the limit": webhooktest.Document(`"` + strings.Repeat("x", 8<<20) + `"`),
		"nested too deeply":     webhooktest.Document(strings.Repeat("[", 10001)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			recorder := httptest.NewRecorder()
			request := httptest.NewRequest(http.MethodPost, knownPath, strings.NewReader(body))
			newServer(webhooktest.NewHandler(t, logr.Discard())).ServeHTTP(recorder, request)
			if recorder.Code < 400 || recorder.Code > 499 {
				t.Errorf("status %d, want an error: %s", recorder.Code, recorder.Body)
			}
		})
	}
}
