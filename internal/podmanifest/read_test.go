package podmanifest_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"kind-local-registry/internal/podmanifest"
)

// pod returns a minimal Pod manifest.
func pod(name string) string {
	return "apiVersion: v1\nkind: Pod\nmetadata:\n  name: " + name + "\nspec:\n  containers:\n  - name: a\n    image: a:1\n"
}

// write writes files to a new directory. files maps names to contents.
func write(t *testing.T, files map[string]string) (directory string) {
	t.Helper()
	directory = t.TempDir()
	for name, text := range files {
		path := filepath.Join(directory, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return directory
}

func TestRead_ReadsFilesDirectoriesAndStandardInput(t *testing.T) {
	t.Parallel()
	directory := write(t, map[string]string{
		"all/b.yaml": pod("b"), "all/a.yml": pod("a"), "all/c.json": `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"c"}}`,
		"all/README.md": "- no manifest", "all/below/d.yaml": pod("d"), "any-name": pod("e"),
	})
	documents, err := podmanifest.Read([]string{filepath.Join(directory, "any-name"), "-", filepath.Join(directory, "all")},
		strings.NewReader(pod("stdin")))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, template := range templates(t, documents) {
		file, _ := strings.CutPrefix(template.File, directory+string(filepath.Separator))
		got = append(got, template.Name+" of "+filepath.ToSlash(file))
	}
	want := []string{"e of any-name", "stdin of standard input", "a of all/a.yml", "b of all/b.yaml", "c of all/c.json"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Read (-want +got):\n%s", diff)
	}
}

func TestRead_FindsEachDocument(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		text string
		want string // each pod's name and line
	}{
		"nothing":                        {"", ""},
		"one":                            {pod("a"), "a:1"},
		"several":                        {pod("a") + "---\n" + pod("b"), "a:1 b:10"},
		"a separator first":              {"---\n" + pod("a"), "a:2"},
		"empty documents":                {"---\n\n---\n---\n" + pod("a") + "---\n", "a:5"},
		"comments only":                  {"# license\n---\n" + pod("a") + "---\n# Source: x/empty.yaml\n", "a:3"},
		"null":                           {"null\n---\n" + pod("a"), "a:3"},
		"Helm's comments":                {"---\n# Source: x/a.yaml\n" + pod("a") + "---\n# Source: x/b.yaml\n" + pod("b"), "a:3 b:13"},
		"a comment after the separator":  {"--- # first\n" + pod("a"), "a:2"},
		"spaces after the separator":     {"---  \t\n" + pod("a"), "a:2"},
		"a document after the separator": {`--- {apiVersion: v1, kind: Pod, metadata: {name: a}}`, "a:1"},
		"a tag after the separator":      {"--- !!map\n" + pod("a"), "a:1"},
		"the end of a document":          {pod("a") + "...\n---\n" + pod("b"), "a:1 b:11"},
		"a separator in a block scalar ends it, and an indented one does not": {
			"apiVersion: v1\nkind: ConfigMap\ndata:\n  a: |\n    ---\n    b\n---\n" + pod("a"), "a:8",
		},
		"four dashes":             {pod("a") + "    args:\n    - |\n      ----\n", "a:1"},
		"lines that end in CRLF":  {strings.ReplaceAll(pod("a")+"---\n"+pod("b"), "\n", "\r\n"), "a:1 b:10"},
		"a byte order mark":       {"\ufeff" + pod("a"), "a:1"},
		"no newline at the end":   {strings.TrimSpace(pod("a")), "a:1"},
		"JSON":                    {asJSON, "one:1"},
		"a stream of JSON":        {asJSON + "\n\n" + asJSON + asJSON, "one:1 one:7 one:11"},
		"JSON, then YAML":         {asJSON + "---\n" + pod("a"), "one:1 a:6"},
		"JSON indented with tabs": {"{\n\t\"apiVersion\": \"v1\",\n\t\"kind\": \"Pod\"\n}\n", ":1"},
		"JSON with a comment":     {`{"apiVersion": "v1", "kind": "Pod"} # the end` + "\n", ":1"},
		"flow style":              {"{apiVersion: v1, kind: Pod, # c\n metadata: {name: a}}\n", "a:1"},
		"duplicate keys in YAML":  {pod("a") + "metadata: {name: b}\n", "b:1"},
		"duplicate keys in JSON":  {`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"metadata":{"name":"b"}}`, "b:1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, template := range templates(t, read(t, tt.text)) {
				got = append(got, fmt.Sprintf("%s:%d", template.Name, template.Line))
			}
			if diff := cmp.Diff(tt.want, strings.Join(got, " ")); diff != "" {
				t.Errorf("pods of %q (-want +got):\n%s", tt.text, diff)
			}
		})
	}
}

func TestRead_ReportsLineAndRemedy(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ text, want string }{
		"a tab":               {pod("a") + "---\na:\n\tb: c\n", ":11: not YAML: found character that cannot start any token; indent with spaces, not tabs"},
		"a bracket":           {"# c\na: [b\nc: d\n", ":2: not YAML: did not find expected ',' or ']'"},
		"a template":          {"{{- if x }}\na: b\n{{ end }}\n", "; this is a template: render it first, for example with helm template"},
		"a template's value":  {"a:\n  b: {{ .Values.x }}\n", ":2: a key that is not a string: this is a template; render it first, for example with helm template"},
		"a sequence as key":   {"? [a]\n: b\n", ":1: a key that is not a string"},
		"a missing quote":     {"---\na:\n  b: 'c\n", "not YAML: found unexpected end of stream"},
		"an indentation":      {"a: b\n c: d\n", ":2: not YAML: mapping values are not allowed in this context"},
		"a bad first line":    {"]\n", ":1: not YAML: did not find expected node content"},
		"a misplaced key":     {"# c\na:\n  b: c\n d: e\n", ":2: not YAML: did not find expected key"},
		"no anchor":           {"---\na: *x\n", ":1: not YAML: unknown anchor 'x' referenced"},
		"an anchor in itself": {"a: &a [*a]\n", ":1: more than 500 levels deep, or an anchor that contains itself"},
		"a merge of a string": {"---\na:\n  <<: b\n", ":3: the value of a merge key (<<) is not a mapping"},
		"a second document":   {"a: b\n...\n# c\n{c: d}\n", ":4: not YAML: did not find expected <document start>"},
		"Helm's values":       {"# Default values\nimage:\n  tag: a\n", ":2: not a Kubernetes object: it has no apiVersion and kind; give manifests"},
		"a kind alone":        {"kind: Pod\n", ":1: not a Kubernetes object"},
		"a string":            {"---\nhello\n", ":2: not a Kubernetes object"},
		"a sequence":          {"- a\n", ":1: not a Kubernetes object"},
		"incomplete JSON": {
			asJSON + "{\n\"a\":", ":6: not JSON: unexpected EOF",
		},
		"JSON that is no object":  {`{"a":1}` + "\n" + `{"b":2}`, ":2: not a Kubernetes object"},
		"too many levels of YAML": {strings.Repeat("[", 600) + strings.Repeat("]", 600), ":1: more than 500 levels deep"},
		"too many levels of JSON": {
			`{"a":` + strings.Repeat("[", 600) + strings.Repeat("]", 600) + "}", "more than 500 levels deep",
		},
		"UTF-16":  {"\xff\xfea\x00", ":1: encoded in UTF-16, for example by PowerShell; save it as UTF-8"},
		"Latin-1": {"a: \xe4\n", ":1: not YAML: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := podmanifest.Read([]string{"-"}, strings.NewReader(tt.text))
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "standard input:") {
				t.Errorf("Read(%q) = %v, want an error with %q", tt.text, err, tt.want)
			}
		})
	}
}

func TestRead_RefusesAliasBombs(t *testing.T) {
	t.Parallel()
	var bomb strings.Builder
	bomb.WriteString("apiVersion: v1\nkind: ConfigMap\na0: &a0 [x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i < 10; i++ {
		aliases := strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 9), ", ")
		fmt.Fprintf(&bomb, "a%d: &a%d [%s]\n", i, i, aliases)
	}
	_, err := podmanifest.Read([]string{"-"}, strings.NewReader(bomb.String()))
	if err == nil || !strings.Contains(err.Error(), "expand to more than 100000 nodes") {
		t.Errorf("Read = %v, want an error about aliases", err)
	}
}

func TestRead_ReturnsErrorsAndValidDocuments(t *testing.T) {
	t.Parallel()
	directory := write(t, map[string]string{
		"a.yaml":         "a: [\n---\n" + pod("a") + "---\nvalues: 1\n",
		"empty/README":   "",
		"b/b.yaml":       pod("b"),
		"b/c.yaml/d.txt": "",
	})
	var paths []string
	for _, name := range []string{"a.yaml", "missing.yaml", "empty", "b"} {
		paths = append(paths, filepath.Join(directory, name))
	}
	documents, err := podmanifest.Read(append(paths, "https://example.com/x.yaml", "-"), iotest.ErrReader(errors.New("pipe broke")))
	if got := len(templates(t, documents)); got != 2 {
		t.Errorf("Read returns %d pods, want 2: those of a.yaml and b", got)
	}
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Read = %v, want also ErrNotExist", err)
	}
	for _, want := range []string{
		"a.yaml:2: not YAML", "a.yaml:12: not a Kubernetes object", "missing.yaml", "empty: no manifests in this directory",
		"curl -fsSL https://example.com/x.yaml", "reading manifests from standard input: pipe broke",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("Read = %v, want also %q", err, want)
		}
	}
}
