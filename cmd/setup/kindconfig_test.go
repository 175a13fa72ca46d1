package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kind-local-registry/internal/host/engine/enginetest"
)

// newCgroupV1Host starts a fake Docker daemon on a host with cgroup v1.
func newCgroupV1Host(t *testing.T) {
	t.Helper()
	daemon := enginetest.New(t)
	daemon.Info.CgroupVersion = "1"
	t.Setenv("DOCKER_HOST", daemon.Host())
}

func TestKindConfig_PrintsWhatTheHostNeeds(t *testing.T) {
	newCgroupV1Host(t)
	var fromDefault, fromStdin bytes.Buffer
	if err := (&kindConfigOptions{}).run(t.Context(), strings.NewReader("ignored"), &fromDefault); err != nil {
		t.Fatal(err)
	}
	stdin := strings.NewReader("kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\n")
	if err := (&kindConfigOptions{file: "-"}).run(t.Context(), stdin, &fromStdin); err != nil {
		t.Fatal(err)
	}
	for _, got := range []string{fromDefault.String(), fromStdin.String()} {
		adds := strings.Contains(got, "failCgroupV1: false") && strings.Contains(got, "config_path = ")
		if !strings.HasPrefix(got, "kind: Cluster\n") || !adds {
			t.Errorf("setup kind-config prints\n%s\nwant a configuration with both patches", got)
		}
	}
}

func TestKindConfig_WritesTheFileOnce(t *testing.T) {
	newCgroupV1Host(t)
	options := kindConfigOptions{file: filepath.Join(t.TempDir(), "kind.yaml"), write: true}
	if err := os.WriteFile(options.file, []byte("kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nname: mine\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	var stdout bytes.Buffer
	var written []string
	for range 2 {
		if err := options.run(t.Context(), nil, &stdout); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(options.file)
		if err != nil {
			t.Fatal(err)
		}
		written = append(written, string(text))
	}
	if !strings.Contains(written[0], "name: mine\n") || !strings.Contains(written[0], "failCgroupV1: false") || written[1] != written[0] {
		t.Errorf("the file is\n%s\nand, after the second run,\n%s", written[0], written[1])
	}
	if info, err := os.Stat(options.file); err != nil || info.Mode().Perm() != 0o640 || stdout.Len() > 0 {
		t.Errorf("permissions %v (error %v), stdout %q; want 0640 and nothing", info.Mode().Perm(), err, &stdout)
	}
}

func TestKindConfig_ErrorNamesFileAndLine(t *testing.T) {
	newCgroupV1Host(t)
	options := kindConfigOptions{file: filepath.Join(t.TempDir(), "kind.yaml")}
	document := "a: 1\n---\nkind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nndoes: []\n"
	if err := os.WriteFile(options.file, []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	err := options.run(t.Context(), nil, &bytes.Buffer{})
	if err == nil || !strings.HasPrefix(err.Error(), options.file+": line 2: ") || !strings.Contains(err.Error(), "ndoes") {
		t.Errorf("run = %v, want an error with the file, the line and the unknown field", err)
	}
}
