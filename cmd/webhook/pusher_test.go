package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kind-local-registry/config"
)

// The directory contains no certificates, so the pusher ends right after it has read the rules.
func TestPusher_ReadsRulesFromFileOrEnvironment(t *testing.T) {
	directory := t.TempDir()
	good, bad := filepath.Join(directory, "good.yaml"), filepath.Join(directory, "bad.yaml")
	for path, document := range map[string]string{good: "images: {exclude: [nginx]}", bad: "images: []"} {
		if err := os.WriteFile(path, []byte(document), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, tt := range map[string]struct{ variable, file, want string }{
		"an invalid file":                   {"", bad, bad + ":1: images is a list"},
		"a file that does not exist":        {"", good + ".none", "reading rules"},
		"an invalid variable":               {"pods: []", "", config.RulesVariable + ":1: pods is a list"},
		"a valid variable":                  {"pods: {}", "", "certificate"},
		"a file before the variable":        {"pods: []", good, "certificate"},
		"neither file nor variable":         {"", "", "certificate"},
		"an invalid file, a valid variable": {"pods: {}", bad, bad + ":1: images is a list"},
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
