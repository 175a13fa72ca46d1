package kindconfig

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/pelletier/go-toml/v2"
	"go.yaml.in/yaml/v3"
)

// forEachConfig calls test for each kind configuration in testdata. They are like those that public projects use.
func forEachConfig(t *testing.T, test func(t *testing.T, text string)) {
	t.Helper()
	files, err := filepath.Glob("testdata/*")
	if err != nil || len(files) < 10 {
		t.Fatalf("testdata has %d files (error %v), want at least 10", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			test(t, string(text))
		})
	}
}

func mustMerge(t *testing.T, text string, cgroupV1 bool) string {
	t.Helper()
	merged, err := Merge(text, cgroupV1)
	if err != nil {
		t.Fatal(err)
	}
	return merged
}

// documents parses a YAML stream with the YAML library alone.
func documents(t *testing.T, text string) []*yaml.Node {
	t.Helper()
	var all []*yaml.Node
	for decoder := yaml.NewDecoder(strings.NewReader(text)); ; {
		document := &yaml.Node{}
		if err := decoder.Decode(document); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		all = append(all, document)
	}
}

// values returns the documents' values without the patches that Merge adds.
func values(t *testing.T, text string) []any {
	t.Helper()
	var all []any
	for _, document := range documents(t, text) {
		var value any
		if err := document.Decode(&value); err != nil {
			t.Fatal(err)
		}
		if object, ok := value.(map[string]any); ok && object["apiVersion"] == APIVersion {
			for _, field := range []string{kubeadmField, containerdField} {
				patches, _ := object[field].([]any)
				patches = slices.DeleteFunc(patches, func(patch any) bool { return patch == cgroupPatch || patch == certsDirPatch })
				if delete(object, field); len(patches) > 0 {
					object[field] = patches
				}
			}
		}
		all = append(all, value)
	}
	return all
}

// comments returns every line of every comment in the documents, sorted.
func comments(t *testing.T, text string) []string {
	t.Helper()
	var all []string
	var collect func(*yaml.Node)
	collect = func(node *yaml.Node) {
		for _, comment := range []string{node.HeadComment, node.LineComment, node.FootComment} {
			for line := range strings.Lines(comment) {
				if line = strings.TrimSpace(line); line != "" {
					all = append(all, line)
				}
			}
		}
		for _, child := range node.Content {
			collect(child)
		}
	}
	for _, document := range documents(t, text) {
		collect(document)
	}
	slices.Sort(all)
	return all
}

// patched returns the part of kind's containerd file that matters here, with merge patches applied as kind applies them.
func patched(t *testing.T, patches []string) []byte {
	t.Helper()
	file := []byte(`{"version": 2, "plugins": {"io.containerd.grpc.v1.cri": {"containerd": {"snapshotter": "overlayfs"}}}}`)
	for _, patch := range patches {
		var table map[string]any
		if err := toml.Unmarshal([]byte(patch), &table); err != nil {
			t.Fatal(err)
		}
		if version, found := table["version"]; found && version != int64(2) {
			continue
		}
		document, err := json.Marshal(table)
		if err == nil {
			file, err = jsonpatch.MergePatch(file, document)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var table map[string]any
	if err := json.Unmarshal(file, &table); err != nil {
		t.Fatal(err)
	}
	written, err := toml.Marshal(table)
	if err != nil {
		t.Fatal(err)
	}
	return written
}
