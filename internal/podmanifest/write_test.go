package podmanifest_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gomodules.xyz/jsonpatch/v2"

	"kind-local-registry/internal/podmanifest"
)

func TestWrite_KeepsUnchangedDocuments(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"a deployment":      deployment,
		"a list":            list,
		"anchors":           anchored,
		"several documents": "# license\n---\n# Source: a\n" + pod("a") + "--- # second\n\n\n" + pod("b") + "---\n# nothing\n",
		"unusual spacing":   "apiVersion:   v1\nkind: \"Pod\"\n\n\nspec: {containers:\n   [ ]}\n...\n",
		"a block scalar":    "apiVersion: v1\nkind: ConfigMap\ndata:\n    a: |+\n      x\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(text, written(t, read(t, text))); diff != "" {
				t.Errorf("Write (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWrite_KeepsStyleOfChangedDocuments(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"sequences without indentation": pod("a"),
		"sequences with indentation":    "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n    - image: a:1\n      args:\n        - b\n",
		"comments":                      "# Source: a\n\n# head\napiVersion: v1 # line\nkind: Pod\nspec:\n  # above\n  containers:\n  # first\n  - image: a:1 # image\n    # below\n# foot\n",
		"scalars of every style":        "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - image: a:1\n    args: ['a', \"b\", c, 'yes', '0777', \"1e3\"]\n    command:\n    - |\n      a\n      b\n    - >-\n      a b\n    tty: yes\n",
		"an unknown field":              "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - image: a:1\n    x: !Ref {a: ~, 1: 2}\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			documents := read(t, text)
			if err := templates(t, documents)[0].Apply([]jsonpatch.Operation{replaceImage(0, "a:1")}); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(text, written(t, documents)); diff != "" {
				t.Errorf("Write (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWrite_ConvertsJSONToYAML(t *testing.T) {
	t.Parallel()
	want := `apiVersion: v1
kind: Pod
metadata:
  name: one
  annotations:
    mood: "\U0001F600"
    "yes": "on"
    "n": "1"
spec:
  terminationGracePeriodSeconds: 5
  containers:
  - name: a
    image: a:1
    tty: true
    command:
    - sh
    - -c
    - |
      a
      b
`
	if diff := cmp.Diff(want+"---\n"+want, written(t, read(t, asJSON+asJSON))); diff != "" {
		t.Errorf("Write (-want +got):\n%s", diff)
	}
}

func TestWrite_AddsSeparatorsAndNewlines(t *testing.T) {
	t.Parallel()
	directory := write(t, map[string]string{
		"1.yaml": "\ufeff" + strings.ReplaceAll(pod("a"), "\n", "\r\n"),
		"2.yaml": strings.TrimSpace(pod("b")),
		"3.yaml": "---\n" + pod("c"),
	})
	documents, err := podmanifest.Read([]string{directory}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(pod("a")+"---\n"+pod("b")+"---\n"+pod("c"), written(t, documents)); diff != "" {
		t.Errorf("Write (-want +got):\n%s", diff)
	}
}

// fullWriter is a writer that always fails.
type fullWriter struct{}

var errFull = errors.New("no space left")

func (fullWriter) Write([]byte) (int, error) { return 0, errFull }

func TestWrite_ReturnsErrorOfWriter(t *testing.T) {
	t.Parallel()
	if err := podmanifest.Write(fullWriter{}, read(t, pod("a"))); !errors.Is(err, errFull) {
		t.Errorf("Write = %v, want %v", err, errFull)
	}
}
