package webhook_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"kind-local-registry/webhook"
	"kind-local-registry/webhook/rewrite"
)

var update = flag.Bool("update", false, "write the goldens")

const (
	registryHost = "localhost:5001"
	someDigest   = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
)

// world says of a name what its first component says: registry/…, host/…, refused/…, down/… and panic/…; nobody has the
// others. The registry serves what it is asked for by its own name and a digest.
type world struct{}

func (world) Lookup(_ context.Context, name string) (rewrite.Presence, error) {
	local := strings.HasPrefix(name, registryHost)
	kind, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(name, "docker.io/"), registryHost+"/"), "/")
	switch {
	case local && strings.Contains(name, "@"):
		return rewrite.Presence{Served: someDigest}, nil
	case kind == "registry":
		return rewrite.Presence{OnHost: true, Digest: someDigest, Served: someDigest}, nil
	case kind == "host":
		return rewrite.Presence{OnHost: true}, nil
	case kind == "refused":
		return rewrite.Presence{OnHost: true, Refusal: rewrite.WrongPlatform}, nil
	case kind == "down":
		return rewrite.Presence{}, errors.New("no route to host")
	case kind == "panic":
		panic("in a test")
	}
	return rewrite.Presence{}, nil
}

// handler returns a handler in that world.
func handler(log logr.Logger) *webhook.Handler {
	return &webhook.Handler{RegistryHost: registryHost, Looker: world{}, Log: log}
}

// Every directory of testdata is a case: review.json is the API server's question, patch.json our answer.
func TestHandle_AnswersWithTheGoldenPatch(t *testing.T) {
	t.Parallel()
	reviews, err := filepath.Glob("testdata/*/review.json")
	if err != nil || len(reviews) == 0 {
		t.Fatalf("no cases in testdata: %v", err)
	}
	for _, path := range reviews {
		directory := filepath.Dir(path)
		t.Run(filepath.Base(directory), func(t *testing.T) {
			t.Parallel()
			request := readReview(t, path)
			response := handler(logr.Discard()).Handle(t.Context(), request)
			if !response.Allowed {
				t.Fatalf("the pod is denied: %v", response.Result)
			}
			got, err := json.MarshalIndent(response.Patches, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			wantGolden(t, filepath.Join(directory, "patch.json"), append(got, '\n'))
			wantNothingMore(t, request, response)
		})
	}
}

// wantNothingMore fails the test if the patched pod, asked about again, is patched again.
func wantNothingMore(t *testing.T, request admission.Request, response admission.Response) {
	t.Helper()
	if len(response.Patches) == 0 {
		return
	}
	document, err := json.Marshal(response.Patches)
	if err != nil {
		t.Fatal(err)
	}
	patch, err := jsonpatch.DecodePatch(document)
	if err != nil {
		t.Fatal(err)
	}
	if request.Object.Raw, err = patch.Apply(request.Object.Raw); err != nil {
		t.Fatalf("applying the patch: %v", err)
	}
	if again := handler(logr.Discard()).Handle(t.Context(), request); len(again.Patches) > 0 {
		t.Errorf("a second call patches again: %v", again.Patches)
	}
}

func TestHandle_NeverDenies(t *testing.T) {
	t.Parallel()
	panicking := logr.New(&panickingSink{})
	for name, tt := range map[string]struct {
		object string
		log    logr.Logger
	}{
		"an object that is not JSON": {"{", logr.Discard()},
		"no object at all":           {"", logr.Discard()},
		"a pod of another shape":     {`{"spec":{"containers":{}}}`, logr.Discard()},
		"a panic of the look-up":     {`{"spec":{"containers":[{"image":"panic/x"}]}}`, logr.Discard()},
		"a panic of anything else":   {`{"spec":{"containers":[{"image":"registry/x"}]}}`, panicking},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			request := admission.Request{}
			request.Object.Raw = []byte(tt.object)
			response := handler(tt.log).Handle(t.Context(), request)
			if !response.Allowed || len(response.Patches) > 0 {
				t.Errorf("Handle = %+v, want it allowed and untouched", response)
			}
		})
	}
}

func TestHandle_WarnsOnceWhenNobodyCouldBeAsked(t *testing.T) {
	t.Parallel()
	request := admission.Request{}
	request.Object.Raw = []byte(`{"spec":{"containers":[{"image":"down/x"},{"image":"down/y"}]}}`)
	response := handler(logr.Discard()).Handle(t.Context(), request)
	if len(response.Warnings) != 1 || len(response.Warnings[0]) > 120 {
		t.Errorf("warnings = %q, want one of at most 120 characters", response.Warnings)
	}
}

func TestHandle_LogsALineADecision(t *testing.T) {
	t.Parallel()
	var lines bytes.Buffer
	noTime := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	log := logr.FromSlogHandler(slog.NewJSONHandler(&lines, &slog.HandlerOptions{ReplaceAttr: noTime}))
	request := admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{Namespace: "default"}}
	request.Object.Raw = []byte(`{"metadata":{"generateName":"web-"},"spec":{"containers":[
		{"name":"a","image":"registry/x"},{"name":"b","image":"else/y:1"},{"name":"c","image":"down/z:1"}]}}`)
	handler(log).Handle(t.Context(), request)

	want := fmt.Sprintf(`{"level":"INFO","msg":"image decided","namespace":"default","pod":"web-","field":"spec.containers{a}",`+
		`"image":"registry/x","reason":"Rewritten","rewritten":"localhost:5001/registry/x:latest@%[1]s","digest":"%[1]s"}
{"level":"INFO","msg":"image decided","namespace":"default","pod":"web-","field":"spec.containers{b}",`+
		`"image":"else/y:1","reason":"NotOnHost"}
{"level":"INFO","msg":"image decided","namespace":"default","pod":"web-","field":"spec.containers{c}",`+
		`"image":"down/z:1","reason":"LookupUnavailable","error":"no route to host"}
`, someDigest)
	if diff := cmp.Diff(want, lines.String()); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

func BenchmarkHandle(b *testing.B) {
	raw, err := os.ReadFile("testdata/several-containers/review.json")
	if err != nil {
		b.Fatal(err)
	}
	review := admissionv1.AdmissionReview{}
	if err := json.Unmarshal(raw, &review); err != nil {
		b.Fatal(err)
	}
	h := handler(logr.Discard())
	b.ReportAllocs()
	for b.Loop() {
		h.Handle(b.Context(), admission.Request{AdmissionRequest: *review.Request})
	}
}

// readReview returns the request in an AdmissionReview.
func readReview(t *testing.T, path string) admission.Request {
	t.Helper()
	document, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	review := admissionv1.AdmissionReview{}
	if err := json.Unmarshal(document, &review); err != nil {
		t.Fatal(err)
	}
	return admission.Request{AdmissionRequest: *review.Request}
}

// wantGolden fails the test if the file does not have this content; with -update it writes it.
func wantGolden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// panickingSink panics at every line but an error.
type panickingSink struct{ funcr.Formatter }

func (*panickingSink) Info(int, string, ...any)         { panic("in a test") }
func (*panickingSink) Error(error, string, ...any)      {}
func (s *panickingSink) WithValues(...any) logr.LogSink { return s }
func (s *panickingSink) WithName(string) logr.LogSink   { return s }
func (*panickingSink) Init(logr.RuntimeInfo)            {}
func (*panickingSink) Enabled(int) bool                 { return true }
