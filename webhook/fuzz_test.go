package webhook_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"kind-local-registry/webhook/webhooktest"
)

// FuzzPatch checks that a patch can be applied, changes only permitted paths and keeps the pod's unknown fields, and that a
// second call patches nothing.
func FuzzPatch(f *testing.F) {
	f.Add([]byte(`{"metadata":{"name":"a","annotations":{"b":"c"}},"spec":{"containers":[{"name":"a","image":"registry/x"}]}}`))
	f.Add([]byte(`{"spec":{"containers":[{"name":"a","image":"host/x","imagePullPolicy":"Never"}],"schedulingGates":[{"name":"b"}]}}`))
	f.Add([]byte(`{"spec":{"initContainers":[{"image":"host/x"}],"volumes":[{"name":"v","image":{"reference":"host/y"}}],"nodeName":"n"}}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		pod, ok := asStored(in)
		if !ok {
			return
		}
		request := creation(string(pod))
		h := webhooktest.NewHandler(t, logr.Discard())
		response := h.Handle(t.Context(), request)
		if response.Patch == nil {
			return
		}
		request.Object.Raw = wantPermitted(t, pod, response.Patch)
		if again := h.Handle(t.Context(), request); again.Patch != nil {
			t.Errorf("%s was patched to %s, which a second call patches again: %s", pod, request.Object.Raw, again.Patch)
		}
	})
}

// asStored returns the pod as a future API server would send it, with every known field under its proper name and some unknown
// fields.
func asStored(in []byte) (pod []byte, ok bool) {
	var known corev1.Pod
	if json.Unmarshal(in, &known) != nil {
		return nil, false
	}
	document, err := json.Marshal(known)
	if err != nil {
		return nil, false
	}
	for _, list := range []string{"containers", "initContainers", "volumes"} {
		document = bytes.ReplaceAll(document, []byte(`"`+list+`":[{`), []byte(`"`+list+`":[{"fromTheFuture":{"a":[1]},`))
	}
	return bytes.Replace(document, []byte(`"metadata":{`), []byte(`"metadata":{"fromTheFuture":[null],`), 1), json.Valid(document)
}

// wantPermitted fails the test if the patch changes anything but our fields, and returns the patched pod.
func wantPermitted(t *testing.T, pod, document []byte) []byte {
	t.Helper()
	patched, err := applyPatch(pod, document)
	if err != nil {
		t.Fatalf("applying %s to %s: %v", document, pod, err)
	}
	before, after := blankedPod(t, pod), blankedPod(t, patched)
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("the patch %s of %s changes fields that it may not change:\n%s", document, pod, diff)
	}
	return patched
}

// blankedPod returns the pod without the fields that a patch may change.
func blankedPod(t *testing.T, document []byte) map[string]any {
	t.Helper()
	var pod map[string]any
	if err := json.Unmarshal(document, &pod); err != nil {
		t.Fatalf("decoding %s: %v", document, err)
	}
	metadata, _ := pod["metadata"].(map[string]any)
	annotations, _ := metadata["annotations"].(map[string]any)
	delete(annotations, "kind-local-registry/original-images")
	if len(annotations) == 0 {
		delete(metadata, "annotations")
	}
	spec, _ := pod["spec"].(map[string]any)
	delete(spec, "schedulingGates")
	for _, list := range []string{"containers", "initContainers", "volumes"} {
		items, _ := spec[list].([]any)
		for _, item := range items {
			fields, _ := item.(map[string]any)
			delete(fields, "imagePullPolicy")
			if list != "volumes" {
				delete(fields, "image")
			} else if image, ok := fields["image"].(map[string]any); ok {
				delete(image, "reference")
				delete(image, "pullPolicy")
			}
		}
	}
	return pod
}
