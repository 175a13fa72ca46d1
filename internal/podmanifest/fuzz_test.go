package podmanifest_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gomodules.xyz/jsonpatch/v2"
	corev1 "k8s.io/api/core/v1"

	"kind-local-registry/internal/podmanifest"
)

// FuzzRead checks that no input causes a panic, and that Write's output contains the same pods as the changed documents.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		deployment, list, anchored, asJSON, "a: &a [*a]\n", "{{ x }}", "--- a\n...\n", "\ufeff# only\r\n---\r\n",
		`{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"image":"\ud83d\ude00"}]}}{}`,
		"apiVersion: v1\nkind: Pod\nmetadata:\nspec: {containers: [{image: a, args: ['yes', '0777', a]}]} # c\n# d\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		documents, _ := podmanifest.Read([]string{"-"}, strings.NewReader(text))
		for _, document := range documents {
			templates, _ := document.Templates()
			for _, template := range templates {
				change(t, template)
			}
		}
		var out bytes.Buffer
		if err := podmanifest.Write(&out, documents); err != nil {
			return // the encoder may reject a document that the parser accepted
		}
		again, err := podmanifest.Read([]string{"-"}, bytes.NewReader(out.Bytes()))
		if err != nil {
			t.Fatalf("reading the output: %v\n%s", err, out.String())
		}
		if diff := cmp.Diff(pods(documents), pods(again)); diff != "" {
			t.Errorf("pods of the output (-want +got):\n%s\n%s", diff, out.String())
		}
	})
}

// change adds an annotation to the template and replaces its containers' images.
func change(t *testing.T, template *podmanifest.Template) {
	t.Helper()
	patch := []jsonpatch.Operation{jsonpatch.NewOperation("add", "/metadata/annotations", map[string]string{"a/b": "{}"})}
	for i := range template.Pod.Spec.Containers {
		if template.Pod.Spec.Containers[i].Image != "" {
			patch = append(patch, replaceImage(i, "localhost:5001/a:1"))
		}
	}
	if err := template.Apply(patch); err != nil {
		t.Errorf("Apply to a decoded pod: %v", err)
	}
}

// pods returns all decodable pods in the documents.
func pods(documents []*podmanifest.Document) []*corev1.Pod {
	var found []*corev1.Pod
	for _, document := range documents {
		templates, _ := document.Templates()
		for _, template := range templates {
			found = append(found, template.Pod)
		}
	}
	return found
}
