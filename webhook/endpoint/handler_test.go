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

// knownPath is the path that only the API server knows, in these tests.
const knownPath = "/pods/some-token"

// newServer returns an endpoint that knows the API server by knownPath.
func newServer(handler *webhook.Handler) *endpoint.Handler {
	return endpoint.New(handler, func() string { return "some-token" })
}

// post returns the response to the document at that path.
func post(server *endpoint.Handler, path, document string) *httptest.ResponseRecorder {
	return record(server, httptest.NewRequest(http.MethodPost, path, strings.NewReader(document)))
}

// strangers returns a request of a caller that is not the API server.
func strangers(t *testing.T, document string) *http.Request {
	t.Helper()
	return httptest.NewRequestWithContext(t.Context(), http.MethodPost, webhook.Path, strings.NewReader(document))
}

// record returns the response to the request.
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

// The API server treats any status but 200 as a failed call, and failurePolicy: Ignore then lets the pod through.
func TestServeHTTP_FailsWithoutADenial(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"nothing":              "",
		"no JSON":              "{",
		"another kind":         `{"apiVersion":"v1","kind":"Pod"}`,
		"an older version":     `{"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview","request":{}}`,
		"no request":           `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}`,
		"more than is read":    webhooktest.Document(`"` + strings.Repeat("x", 8<<20) + `"`),
		"deeper than JSON may": webhooktest.Document(strings.Repeat("[", 10001)),
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
