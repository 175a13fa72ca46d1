package webhook_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"kind-local-registry/webhook/webhooktest"
)

var update = flag.Bool("update", false, "write the goldens")

// Each directory in testdata/admission is a test case: review.json contains the request, and patch.json the expected patch.
func TestHandle_AnswersWithTheGoldenPatch(t *testing.T) {
	t.Parallel()
	reviews, err := filepath.Glob("testdata/admission/*/review.json")
	if err != nil || len(reviews) == 0 {
		t.Fatalf("no cases in testdata: %v", err)
	}
	for _, path := range reviews {
		directory := filepath.Dir(path)
		t.Run(filepath.Base(directory), func(t *testing.T) {
			t.Parallel()
			request := readReview(t, path)
			response := webhooktest.NewHandler(t, logr.Discard()).Handle(t.Context(), request)
			if !response.Allowed || response.UID != request.UID {
				t.Fatalf("response = %+v, want it allowed, with UID %s", response, request.UID)
			}
			wantGolden(t, filepath.Join(directory, "patch.json"), indented(t, response.Patch))
			wantNothingMore(t, request, response.Patch)
		})
	}
}

// indented formats a patch like those in the golden files. It returns an empty list if there is no patch.
func indented(t *testing.T, patch []byte) []byte {
	t.Helper()
	if patch == nil {
		return []byte("[]\n")
	}
	var out bytes.Buffer
	if err := json.Indent(&out, patch, "", "  "); err != nil {
		t.Fatal(err)
	}
	return append(out.Bytes(), '\n')
}

// wantNothingMore fails the test if a second call changes the patched pod.
func wantNothingMore(t *testing.T, request *admissionv1.AdmissionRequest, document []byte) {
	t.Helper()
	if document == nil {
		return
	}
	patched, err := applyPatch(request.Object.Raw, document)
	if err != nil {
		t.Fatalf("applying the patch: %v", err)
	}
	request.Object.Raw = patched
	if again := webhooktest.NewHandler(t, logr.Discard()).Handle(t.Context(), request); again.Patch != nil {
		t.Errorf("a second call patches the pod again: %s", again.Patch)
	}
}

// applyPatch applies a JSON Patch as the API server does.
func applyPatch(object, document []byte) ([]byte, error) {
	patch, err := jsonpatch.DecodePatch(document)
	if err != nil {
		return nil, err
	}
	return patch.Apply(object)
}

// creation returns a request that creates the pod.
func creation(pod string) *admissionv1.AdmissionRequest {
	request := &admissionv1.AdmissionRequest{
		UID: "some-uid", Namespace: "default", Operation: admissionv1.Create,
		Resource: metav1.GroupVersionResource{Version: "v1", Resource: "pods"},
	}
	request.Object.Raw = []byte(pod)
	return request
}

func TestHandle_NeverDenies(t *testing.T) {
	t.Parallel()
	deletion := creation("{}")
	deletion.Operation = admissionv1.Delete
	update := creation("{}")
	update.Operation = admissionv1.Update
	services := creation("{}")
	services.Resource.Resource = "services"
	debug := creation("{}")
	debug.Operation, debug.SubResource = admissionv1.Update, "ephemeralcontainers"
	for name, tt := range map[string]struct {
		request *admissionv1.AdmissionRequest
		log     logr.Logger
	}{
		"an object that is not JSON":       {creation("{"), logr.Discard()},
		"no object at all":                 {creation(""), logr.Discard()},
		"a pod with the wrong structure":   {creation(`{"spec":{"containers":{}}}`), logr.Discard()},
		"a pod nested too deeply for JSON": {creation(strings.Repeat(`{"a":`, 10001)), logr.Discard()},
		"a deletion":                       {deletion, logr.Discard()},
		"an update of a pod":               {update, logr.Discard()},
		"another resource":                 {services, logr.Discard()},
		"an update without the old pod":    {debug, logr.Discard()},
		"a workload that is not JSON":      {workload("deployments", "{", ""), logr.Discard()},
		"an update of an unknown workload": {workload("deployments", "{}", "[]"), logr.Discard()},
		"a panic in the lookup":            {creation(`{"spec":{"containers":[{"image":"panic/x"}]}}`), logr.Discard()},
		"a panic elsewhere":                {creation(`{"spec":{"containers":[{"image":"registry/x"}]}}`), logr.New(&panickingSink{})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			response := webhooktest.NewHandler(t, tt.log).Handle(t.Context(), tt.request)
			if !response.Allowed || response.Patch != nil || response.UID != tt.request.UID {
				t.Errorf("Handle = %+v, want it allowed and untouched", response)
			}
		})
	}
}

func TestHandle_LeavesOptedOutNamespacesUnchanged(t *testing.T) {
	t.Parallel()
	for annotation, want := range map[string]bool{"": false, "false": false, "true": true} {
		request := creation(fmt.Sprintf(
			`{"metadata":{"annotations":{"kind-local-registry/rewrite":%q}},"spec":{"containers":[{"image":"registry/x"}]}}`, annotation))
		request.Namespace = "opted-out"
		response := webhooktest.NewHandler(t, logr.Discard()).Handle(t.Context(), request)
		if got := response.Patch != nil; got != want {
			t.Errorf("with the annotation %q the pod is rewritten: %v, want %v", annotation, got, want)
		}
	}
}

func TestHandle_WarnsAboutHostImagesThatCannotRun(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("long/", 40)
	request := creation(`{"spec":{"containers":[{"image":"down/x"},{"image":"refused/y"},{"image":"registry/x"},{"image":"else/x"},
		{"image":"` + long + `DOWN"}]}}`)
	got := webhooktest.NewHandler(t, logr.Discard()).Handle(t.Context(), request).Warnings
	want := []string{
		"kind-local-registry: LookupUnavailable: down/x keeps its original image",
		"kind-local-registry: WrongPlatform: refused/y keeps its original image",
		string([]rune("kind-local-registry: InvalidReference: " + long)[:119]) + "…",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestHandle_WarnsAboutTypingErrors(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("l", 40)
	handler := webhooktest.NewHandler(t, logr.Discard())
	for image, want := range map[string][]string{
		"typo/hello:local":     {"kind-local-registry: the host has no typo/hello:local; did you mean host/hello:local?"},
		"othertag/hello:local": nil,
		"else/hello:local":     nil,
		"typo/" + long + ":1":  {"kind-local-registry: NotOnHost: did you mean host/" + long + ":1?"},
		"typo/" + long + long:  {"kind-local-registry: NotOnHost: did you mean host/" + long + string([]rune(long)[:29]) + "…"},
	} {
		got := handler.Handle(t.Context(), creation(`{"spec":{"containers":[{"image":"`+image+`"}]}}`))
		if diff := cmp.Diff(want, got.Warnings); diff != "" || got.Patch != nil {
			t.Errorf("%s: patch %s, warnings (-want +got):\n%s", image, got.Patch, diff)
		}
	}
}

func TestHandle_SuggestsNothingForImagesThatItLeavesAlone(t *testing.T) {
	t.Parallel()
	request := creation(`{"metadata":{"labels":{"cnpg.io/podRole":"instance"}},"spec":{"containers":[{"image":"typo/x:1"}]}}`)
	optedOut := creation(`{"metadata":{"annotations":{"kind-local-registry/rewrite":"false"}},"spec":{"containers":[{"image":"typo/x:1"}]}}`)
	for _, request := range []*admissionv1.AdmissionRequest{request, optedOut} {
		if got := webhooktest.NewHandler(t, logr.Discard()).Handle(t.Context(), request).Warnings; got != nil {
			t.Errorf("warnings about the pod %s: %q, want none", request.Object.Raw, got)
		}
	}
}

func TestHandle_LimitsItsWarnings(t *testing.T) {
	t.Parallel()
	containers := strings.TrimSuffix(strings.Repeat(`{"image":"down/x"},`, 100), ",")
	response := webhooktest.NewHandler(t, logr.Discard()).Handle(t.Context(), creation(`{"spec":{"containers":[`+containers+`]}}`))
	if n := len(response.Warnings); n != 6 {
		t.Errorf("%d warnings, want 5 warnings and a note that there are more", n)
	}
}

func TestHandle_GivesTheAuditLogAReasonForEachField(t *testing.T) {
	t.Parallel()
	request := creation(`{"spec":{"initContainers":[{"name":"a","image":"else/x"}],"containers":[{"name":"b","image":"registry/x"}]}}`)
	got := webhooktest.NewHandler(t, logr.Discard()).Handle(t.Context(), request).AuditAnnotations
	want := map[string]string{"decisions": `{"spec.containers{b}":"Rewritten","spec.initContainers{a}":"NotOnHost"}`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("audit annotations (-want +got):\n%s", diff)
	}
}

func TestHandle_WritesEventsOnTheOwnerOrThePod(t *testing.T) {
	t.Parallel()
	owned := `"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web-1","uid":"u","controller":true}]`
	for name, tt := range map[string]struct {
		metadata string
		dryRun   bool
		want     []string
	}{
		"a pod of a ReplicaSet":  {`"generateName":"web-1-",` + owned, false, []string{"ReplicaSet web-1 Warning WrongPlatform"}},
		"a pod without an owner": {`"name":"alone"`, false, []string{"Pod alone Warning WrongPlatform"}},
		"a dry run":              {`"name":"alone"`, true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var events eventLog
			h := webhooktest.NewHandler(t, logr.Discard())
			h.Events = &events
			request := creation(`{"metadata":{` + tt.metadata + `},"spec":{"containers":[{"image":"refused/x"},{"image":"else/x"}]}}`)
			request.DryRun = &tt.dryRun
			h.Handle(t.Context(), request)
			if diff := cmp.Diff(tt.want, []string(events)); diff != "" {
				t.Errorf("Events (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHandle_PushesNothingForADryRun(t *testing.T) {
	t.Parallel()
	request := creation(`{"spec":{"containers":[{"image":"else/x"}],"volumes":[{"name":"v","image":{"reference":"host/x:1"}}]}}`)
	request.DryRun = new(true)
	response := webhooktest.NewHandler(t, logr.Discard()).Handle(t.Context(), request)
	if !strings.Contains(string(response.Patch), `"localhost:5001/host/x:1-fedcba987654"`) {
		t.Errorf("patch = %s, want the build's reference, because a dry run pushes nothing", response.Patch)
	}
}

// eventLog records each Event as one line.
type eventLog []string

func (l *eventLog) Eventf(regarding, _ runtime.Object, kind, reason, _, _ string, _ ...any) {
	of := regarding.(*corev1.ObjectReference)
	*l = append(*l, fmt.Sprintf("%s %s %s %s", of.Kind, of.Name, kind, reason))
}

// readReview returns the request from the AdmissionReview in the file.
func readReview(t *testing.T, path string) *admissionv1.AdmissionRequest {
	t.Helper()
	document, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	review := admissionv1.AdmissionReview{}
	if err := json.Unmarshal(document, &review); err != nil {
		t.Fatal(err)
	}
	return review.Request
}

// wantGolden fails the test if the file's content differs from got. With -update, it first writes got to the file.
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

// panickingSink panics on every log line except errors.
type panickingSink struct{ funcr.Formatter }

func (*panickingSink) Info(int, string, ...any)         { panic("in a test") }
func (*panickingSink) Error(error, string, ...any)      {}
func (s *panickingSink) WithValues(...any) logr.LogSink { return s }
func (s *panickingSink) WithName(string) logr.LogSink   { return s }
func (*panickingSink) Init(logr.RuntimeInfo)            {}
func (*panickingSink) Enabled(int) bool                 { return true }
