package webhook_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"

	"kind-local-registry/webhook"
	"kind-local-registry/webhook/podimage"
	"kind-local-registry/webhook/webhooktest"
)

// owned returns a pod with the given owner.
func owned(owner, metadata string) string {
	return fmt.Sprintf(`{"metadata":{%s,"ownerReferences":[{"apiVersion":"v1","kind":"X","name":"x","uid":%q,"controller":true}]},
		"spec":{"containers":[{"name":"a","image":"registry/x"}]}}`, metadata, owner)
}

// rewrites reports whether the handler rewrites the pod. If it does, the loop guard counts the pod as created.
func rewrites(t *testing.T, h *webhook.Handler, pod string) bool {
	t.Helper()
	request := creation(pod)
	response := h.Handle(t.Context(), request)
	if response.Patch == nil {
		return false
	}
	h.Guard.Created(podimage.Read(patched(t, request, response), webhooktest.RegistryHost))
	return true
}

// patched returns the request's pod with the response's patch applied.
func patched(t *testing.T, request *admissionv1.AdmissionRequest, response *admissionv1.AdmissionResponse) *corev1.Pod {
	t.Helper()
	document := request.Object.Raw
	if response.Patch != nil {
		var err error
		if document, err = applyPatch(document, response.Patch); err != nil {
			t.Fatalf("applying the patch: %v", err)
		}
	}
	pod := &corev1.Pod{}
	if err := json.Unmarshal(document, pod); err != nil {
		t.Fatal(err)
	}
	return pod
}

func TestLoopGuard_StopsRewritingForALoopingOwner(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := webhooktest.NewHandler(t, logr.Discard())
		events := &eventLog{}
		h.Events = events
		for i := range 6 {
			if !rewrites(t, h, owned("u", `"name":"db-1"`)) {
				t.Fatalf("creation %d is not rewritten", i+1)
			}
			time.Sleep(10 * time.Second)
		}
		if rewrites(t, h, owned("u", `"name":"db-1"`)) {
			t.Error("the pod is rewritten after 5 recreations within 5 minutes")
		}
		if rewrites(t, h, owned("u", `"name":"db-2"`)) {
			t.Error("another pod of the owner is rewritten")
		}
		if want := "X x Warning LoopGuard"; len(*events) != 2 || (*events)[0] != want {
			t.Errorf("Events = %q, want two of %q", *events, want)
		}
		if !rewrites(t, h, owned("other", `"name":"db-1"`)) {
			t.Error("a pod of another owner is not rewritten")
		}
		time.Sleep(time.Hour + time.Second)
		if !rewrites(t, h, owned("u", `"name":"db-1"`)) {
			t.Error("the pod is not rewritten although an hour has passed without a pod from its owner")
		}
	})
}

func TestLoopGuard_IgnoresPodsWithNewNamesOrTemplates(t *testing.T) {
	t.Parallel()
	for name, pod := range map[string]func(i int) string{
		"a ReplicaSet is scaled": func(int) string { return owned("u", `"generateName":"web-"`) },
		"a StatefulSet is scaled": func(i int) string {
			return owned("u", fmt.Sprintf(`"name":"db-%d"`, i))
		},
		"a StatefulSet is rolled out": func(i int) string {
			return owned("u", fmt.Sprintf(`"name":"db-0","labels":{"controller-revision-hash":"db-%d"}`, i))
		},
		"a pod without an owner": func(int) string {
			return `{"metadata":{"name":"a"},"spec":{"containers":[{"name":"a","image":"registry/x"}]}}`
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := webhooktest.NewHandler(t, logr.Discard())
			for i := range 50 {
				if !rewrites(t, h, pod(i)) {
					t.Fatalf("creation %d is not rewritten", i+1)
				}
			}
		})
	}
}

func TestLoopGuard_IgnoresOccasionalRecreations(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := webhooktest.NewHandler(t, logr.Discard())
		for i := range 20 {
			if !rewrites(t, h, owned("u", `"name":"db-1"`)) {
				t.Fatalf("creation %d is not rewritten", i+1)
			}
			time.Sleep(time.Minute)
		}
	})
}

func TestLoopGuard_IgnoresRefusedCreations(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := webhooktest.NewHandler(t, logr.Discard())
		for wait := 5 * time.Millisecond; wait < time.Minute; wait *= 2 { // like a controller that retries while a quota is exhausted
			h.Handle(t.Context(), creation(owned("u", `"name":"db-0"`)))
			time.Sleep(wait)
		}
		if !rewrites(t, h, owned("u", `"name":"db-0"`)) {
			t.Error("the only pod that is actually created keeps its original image")
		}
	})
}

func TestLoopGuard_IgnoresUnchangedPods(t *testing.T) {
	t.Parallel()
	h := webhooktest.NewHandler(t, logr.Discard())
	for range 20 {
		request := creation(owned("u", `"name":"db-0","annotations":{"kind-local-registry/rewrite":"false"}`))
		h.Guard.Created(podimage.Read(patched(t, request, h.Handle(t.Context(), request)), webhooktest.RegistryHost))
	}
	if !rewrites(t, h, owned("u", `"name":"db-0"`)) {
		t.Error("pods that opted out were counted")
	}
}

func TestLoopGuard_IgnoresDryRunsAndReinvocations(t *testing.T) {
	t.Parallel()
	h := webhooktest.NewHandler(t, logr.Discard())
	dry := creation(owned("u", `"name":"db-1"`))
	dry.DryRun = new(true)
	again := `"name":"db-1","annotations":{"kind-local-registry/original-images":"{\"spec.containers{b}\":\"registry/x\"}"}`
	for range 20 {
		h.Handle(t.Context(), dry)
		h.Handle(t.Context(), creation(owned("v", again)))
	}
	if !rewrites(t, h, owned("u", `"name":"db-1"`)) {
		t.Error("dry runs or reinvocations were counted")
	}
}
