package podmanifest_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gomodules.xyz/jsonpatch/v2"
	corev1 "k8s.io/api/core/v1"
)

// operation returns one operation for a JSON Patch.
func operation(kind, pointer string, value any) jsonpatch.Operation {
	return jsonpatch.NewOperation(kind, pointer, value)
}

func TestApply_KeepsEverythingElse(t *testing.T) {
	t.Parallel()
	documents := read(t, deployment)
	gate := corev1.PodSchedulingGate{Name: "x/gate"}
	if err := templates(t, documents)[0].Apply([]jsonpatch.Operation{
		operation("test", "/spec/containers/0/image", "shop/web:local"),
		operation("replace", "/spec/containers/0/image", "localhost:5001/web:local"),
		operation("replace", "/spec/containers/0/imagePullPolicy", corev1.PullIfNotPresent),
		operation("replace", "/spec/initContainers/0/image", "localhost:5001/migrate:1"),
		operation("replace", "/spec/containers/1/image", "localhost:5001/envoy"),
		operation("replace", "/spec/volumes/0/image/reference", "localhost:5001/models"),
		operation("replace", "/spec/volumes/0/image/pullPolicy", corev1.PullIfNotPresent),
		operation("add", "/metadata/annotations", map[string]string{"x/originals": `{"a":"b"}`}),
		operation("add", "/metadata/annotations/x~1~01", "yes"),
		operation("add", "/spec/schedulingGates", []corev1.PodSchedulingGate{gate}),
		operation("add", "/spec/schedulingGates/-", gate),
	}); err != nil {
		t.Fatal(err)
	}
	want := `# Source: shop/templates/web.yaml
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web # the shop
  namespace: shop
spec:
  template:
    metadata:
      labels: {app: web}
      annotations:
        x/originals: '{"a":"b"}'
        x/~1: "yes"
    spec:
      # first the schema
      initContainers:
        - name: migrate
          image: "localhost:5001/migrate:1"
      containers:
        - name: web
          image: localhost:5001/web:local # ours
          imagePullPolicy: IfNotPresent
          args: ["yes", serve]
        - {name: proxy, image: 'localhost:5001/envoy'}
      volumes:
        - name: models
          image:
            reference: localhost:5001/models
            pullPolicy: IfNotPresent
      # the end

      schedulingGates:
        - name: x/gate
        - name: x/gate
`
	if diff := cmp.Diff(want, written(t, documents)); diff != "" {
		t.Errorf("Write after Apply (-want +got):\n%s", diff)
	}
}

func TestApply_FollowsRFC6902(t *testing.T) {
	t.Parallel()
	const begin = "apiVersion: v1\nkind: Pod\n"
	for name, tt := range map[string]struct {
		text  string
		patch jsonpatch.Operation
		want  string
	}{
		"before an entry": {"spec:\n  x: [a, b]\n", operation("add", "/spec/x/1", "c"), "spec:\n  x: [a, c, b]\n"},
		"after the last":  {"spec:\n  x: [a, b]\n", operation("add", "/spec/x/2", "c"), "spec:\n  x: [a, b, c]\n"},
		"at the end":      {"spec:\n  x:\n  - a\n", operation("add", "/spec/x/-", "c"), "spec:\n  x:\n  - a\n  - c\n"},
		"an entry":        {"spec:\n  x: [a, b]\n", operation("replace", "/spec/x/1", "c"), "spec:\n  x: [a, c]\n"},
		"an existing member": {
			"spec:\n  x: a # c\n", operation("add", "/spec/x", "b"), "spec:\n  x: b # c\n",
		},
		"into an empty mapping":    {"spec: {}\n", operation("add", "/spec/x", "a"), "spec:\n  x: a\n"},
		"into an empty sequence":   {"spec:\n  x: []\n", operation("add", "/spec/x/-", "a"), "spec:\n  x:\n  - a\n"},
		"a value replaced by null": {"spec: {x: a}\n", operation("replace", "/spec/x", nil), "spec: {x: null}\n"},
		"null replaced by a value": {"spec:\n  x: # c\n", operation("add", "/spec/x", []int{1}), "spec:\n  x: # c\n  - 1\n"},
		"missing metadata":         {"spec: {}\n", operation("add", "/metadata/annotations", map[string]string{}), "metadata:\n  annotations: {}\nspec: {}\n"},
		"metadata that is null":    {"metadata:\nspec: {}\n", operation("add", "/metadata/labels", map[string]string{"a": "1"}), "metadata:\n  labels:\n    a: \"1\"\nspec: {}\n"},
		"a test of a mapping":      {"spec: {x: {a: 1, b: [yes]}}\n", operation("test", "/spec/x", map[string]any{"b": []bool{true}, "a": 1.0}), "spec: {x: {a: 1, b: [yes]}}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			documents := read(t, begin+tt.text)
			if err := templates(t, documents)[0].Apply([]jsonpatch.Operation{tt.patch}); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(begin+tt.want, written(t, documents)); diff != "" {
				t.Errorf("Write after %s (-want +got):\n%s", tt.patch.Json(), diff)
			}
		})
	}
}

func TestApply_ChangesNothingIfAnOperationFails(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		patch jsonpatch.Operation
		want  string
	}{
		"another value":        {operation("test", "/spec/containers/0/image", "b"), "value is a:1, want b"},
		"nothing to test":      {operation("test", "/spec/nodeName", "b"), "no such field or entry: nodeName"},
		"no such member":       {operation("add", "/spec/affinity/x", "b"), "no such field or entry: affinity"},
		"below a string":       {operation("add", "/spec/containers/0/image/x", "b"), "no such field or entry: x"},
		"past the end":         {operation("add", "/spec/containers/2", "b"), "no such field or entry: 2"},
		"no entry to replace":  {operation("replace", "/spec/containers/1", "b"), "no such field or entry: 1"},
		"the end to replace":   {operation("replace", "/spec/containers/-", "b"), "no such field or entry: -"},
		"an index below 0":     {operation("add", "/spec/containers/-1", "b"), "no such field or entry: -1"},
		"an index with a zero": {operation("replace", "/spec/containers/00", "b"), "no such field or entry: 00"},
		"the whole pod":        {operation("replace", "", "b"), "not a pointer to a field"},
		"no pointer":           {operation("replace", "spec", "b"), "not a pointer to a field"},
		"another operation":    {operation("remove", "/spec/containers", nil), "unsupported operation: want add, replace or test"},
		"a value without JSON": {operation("add", "/spec/x", func() {}), "unsupported type"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			documents := read(t, pod("a"))
			err := templates(t, documents)[0].Apply([]jsonpatch.Operation{replaceImage(0, "a:1"), operation("add", "/spec/new", 1), tt.patch})
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "standard input:1: Pod a: ") {
				t.Errorf("Apply = %v, want an error with %q", err, tt.want)
			}
			if diff := cmp.Diff(pod("a"), written(t, documents)); diff != "" {
				t.Errorf("Write after Apply (-want +got):\n%s", diff)
			}
		})
	}
}

func TestApply_ChangesOnlyOnePodOfSharedAnchor(t *testing.T) {
	t.Parallel()
	for changed, want := range [][]string{
		{"new:1 app:1", "app:1 app:1", "app:1 app:1"},
		{"app:1 app:1", "new:1 app:1", "app:1 app:1"},
		{"app:1 app:1", "app:1 app:1", "new:1 app:1"},
	} {
		documents := read(t, anchored)
		if err := templates(t, documents)[changed].Apply([]jsonpatch.Operation{replaceImage(0, "new:1")}); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, template := range templates(t, read(t, written(t, documents))) {
			container := template.Pod.Spec.Containers[0]
			got = append(got, container.Image+" "+container.Env[0].Value)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("images after a change of pod %d (-want +got):\n%s", changed, diff)
		}
	}
}

func TestApply_CanBeCalledAgain(t *testing.T) {
	t.Parallel()
	documents := read(t, pod("a"))
	template := templates(t, documents)[0]
	for _, image := range []string{"b:1", "c:1"} {
		if err := template.Apply([]jsonpatch.Operation{replaceImage(0, image)}); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(strings.Replace(pod("a"), "a:1", "c:1", 1), written(t, documents)); diff != "" {
		t.Errorf("Write (-want +got):\n%s", diff)
	}
}
