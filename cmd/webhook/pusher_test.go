package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kind-local-registry/config"
)

// Without certificates the pusher ends right after it has read the rules.
func TestPusher_ReadsItsRulesFromTheFileOrTheEnvironment(t *testing.T) {
	directory := t.TempDir()
	good, bad := filepath.Join(directory, "good.yaml"), filepath.Join(directory, "bad.yaml")
	for path, document := range map[string]string{good: "images: {exclude: [nginx]}", bad: "images: []"} {
		if err := os.WriteFile(path, []byte(document), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, tt := range map[string]struct{ variable, file, want string }{
		"a bad file":                   {"", bad, bad + ":1: images is a list"},
		"a file that is not there":     {"", good + ".none", "reading rules"},
		"a bad variable":               {"pods: []", "", config.RulesVariable + ":1: pods is a list"},
		"a good variable":              {"pods: {}", "", "certificate"},
		"a file before the variable":   {"pods: []", good, "certificate"},
		"neither a file nor variable":  {"", "", "certificate"},
		"a bad file, whatever is else": {"pods: {}", bad, bad + ":1: images is a list"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(config.RulesVariable, tt.variable)
			var out bytes.Buffer
			err := run(t.Context(), []string{"pusher", "--certs", directory, "--rules", tt.file}, nil, &out, &out)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("run = %v, want an error with %q", err, tt.want)
			}
		})
	}
}
