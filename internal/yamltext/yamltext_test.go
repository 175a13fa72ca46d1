package yamltext_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"kind-local-registry/internal/yamltext"
)

func TestSplit_BeginsADocumentAtEachSeparator(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]yamltext.Part{
		"":                          nil,
		"a: 1\n":                    {{Text: "a: 1\n", Line: 1}},
		"---\na: 1\n":               {{Text: "---\na: 1\n", Line: 1}},
		"# c\n\n---\na\n--- # x\nb": {{Text: "# c\n\n", Line: 1}, {Text: "---\na\n", Line: 3}, {Text: "--- # x\nb", Line: 5}},
		"a\r\n---\r\nb\r\n":         {{Text: "a\r\n", Line: 1}, {Text: "---\r\nb\r\n", Line: 2}},
		"a: |\n  x\n---":            {{Text: "a: |\n  x\n", Line: 1}, {Text: "---", Line: 3}},
		"a\n---b\n ---\n----\n":     {{Text: "a\n---b\n ---\n----\n", Line: 1}},
		"---\n---\n":                {{Text: "---\n", Line: 1}, {Text: "---\n", Line: 2}},
	} {
		if diff := cmp.Diff(want, yamltext.Split(text)); diff != "" {
			t.Errorf("Split(%q) (-want +got):\n%s", text, diff)
		}
	}
}
