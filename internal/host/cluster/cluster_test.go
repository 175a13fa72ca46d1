package cluster

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sigs.k8s.io/kind/pkg/cluster/nodes"
	"sigs.k8s.io/kind/pkg/exec"
	"sigs.k8s.io/kind/pkg/log"

	"kind-local-registry/internal/host/engine"
	"kind-local-registry/internal/host/engine/enginetest"
	"kind-local-registry/internal/host/node"
)

// writeKindConfig writes a kind configuration to a file and returns the file's path.
func writeKindConfig(t *testing.T, document string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kind.yaml")
	if err := os.WriteFile(file, []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestNew_NamesTheCluster(t *testing.T) {
	t.Setenv(nameVariable, "")
	file := writeKindConfig(t, "name: configured\n")
	for _, test := range []struct {
		options Options
		want    string
	}{
		{Options{}, "kind"},
		{Options{ConfigFile: file}, "configured"},
		{Options{ConfigFile: file, Name: "chosen"}, "chosen"},
	} {
		got, err := New(&engine.Engine{}, test.options)
		if err != nil || got.Name() != test.want {
			t.Errorf("New(%+v) = %v, %v; want %s", test.options, got, err, test.want)
		}
	}
}

func TestNew_RejectsConfigurationWithRemedy(t *testing.T) {
	t.Parallel()
	file := writeKindConfig(t, "ndoes: []\n")
	for path, want := range map[string]string{file: "see https://kind.sigs.k8s.io", file + ".none": "name a readable file with --config"} {
		if _, err := New(&engine.Engine{}, Options{ConfigFile: path}); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), want) {
			t.Errorf("New with %s = %v, want %q", path, err, want)
		}
	}
}

func TestCreateError_AddsOutputAndRemedy(t *testing.T) {
	t.Parallel()
	pull := &exec.RunError{Command: []string{"docker"}, Output: []byte("trying\nno space left\n"), Inner: errors.New("exit status 1")}
	for want, err := range map[string]error{
		"creating kind cluster dev: boom; see https://kind.sigs.k8s.io/docs/user/known-issues/": errors.New("boom"),
		": no space left; see https://kind.sigs.k8s.io/docs/user/known-issues/":                 pull,
		"with --node-image, name a node image that docker image ls lists":                       errors.New("failed to pull image \"x\""),
	} {
		if got := createError("dev", err); !strings.HasSuffix(got.Error(), want) || !errors.Is(got, err) {
			t.Errorf("createError = %v, want …%s", got, want)
		}
	}
	silent := &exec.RunError{Command: []string{"docker"}, Inner: errors.New("exit status 1")}
	if got := withOutput(silent); !errors.Is(got, silent) || got.Error() != silent.Error() {
		t.Errorf("withOutput = %v, want %v", got, silent)
	}
}

func TestProgressLogger_ReportsEachStatusOnce(t *testing.T) {
	t.Parallel()
	var lines []string
	var logger log.Logger = progressLogger{func(line string) { lines = append(lines, line) }}
	logger.V(0).Infof(" • %s  ...\n", "Preparing nodes 📦")
	logger.V(0).Info(" ✓ Preparing nodes 📦")
	logger.V(1).Info(" • detail ...")
	logger.Warnf("slow %s", "disk")
	logger.Error("broken")
	want := []string{"Preparing nodes 📦", "warning: slow disk", "error: broken"}
	if !slices.Equal(lines, want) || !logger.V(0).Enabled() || logger.V(1).Enabled() {
		t.Errorf("lines %q, want %q", lines, want)
	}
}

func TestAnyPulls_ReadsTheHostsOfStoppedNodes(t *testing.T) {
	t.Parallel()
	for want, content := range map[bool]string{true: node.Hosts(), false: "server = \"http://other\"\n"} {
		daemon := enginetest.New(t)
		daemon.AddContainer("first", nil)
		stopped := daemon.AddContainer("second", nil)
		stopped.State.Running = false
		stopped.Files[node.HostsFile(registryHost)] = []byte(content)
		docker, err := engine.OpenAt(t.Context(), daemon.Host())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := anyPulls(t.Context(), docker, []string{"first", "second", "none"}, registryHost); got != want || err != nil {
			t.Errorf("anyPulls with %q = %t, %v; want %t", content, got, err, want)
		}
	}
}

// local is a fake node that runs commands on this machine.
type local struct{ nodes.Node }

func (local) CommandContext(ctx context.Context, command string, args ...string) exec.Cmd {
	return exec.CommandContext(ctx, command, args...)
}

func TestRunner_PassesArgumentsAndReportsStderr(t *testing.T) {
	t.Parallel()
	r := runner{local{}}
	got, err := r.Run(t.Context(), `printf '%s|' "$@"`, "a b", "$HOME", "it's", "", "new\nline")
	if want := "a b|$HOME|it's||new\nline|"; string(got) != want || err != nil {
		t.Errorf("Run = %q, %v; want %q", got, err, want)
	}
	if got, err := r.Run(t.Context(), `echo partial; echo broken >&2; false; echo more`); len(got) > 0 || err == nil || !strings.HasSuffix(err.Error(), ": broken") {
		t.Errorf("Run = %q, %v; want an error that ends with the script's output", got, err)
	}
}

func TestRunner_RetriesWhatDidNotStart(t *testing.T) {
	t.Parallel()
	for code, want := range map[int]int{126: maxStarts, 1: 1, 0: 1} {
		log := filepath.Join(t.TempDir(), "starts")
		_, err := (runner{local{}}).Run(t.Context(), `echo >>"$1"; exit "$2"`, log, strconv.Itoa(code))
		starts, failed := os.ReadFile(log)
		if failed != nil || len(starts) != want || (err == nil) != (code == 0) {
			t.Errorf("a script that exits with %d ran %d times, error %v; want %d times", code, len(starts), err, want)
		}
	}
}

func TestNamespaceLabels_AreEmptyWithoutACluster(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c, err := New(&engine.Engine{}, Options{Name: "no-such-cluster"})
	if err != nil {
		t.Fatal(err)
	}
	if labels := c.NamespaceLabels(ctx); len(labels) > 0 {
		t.Errorf("labels %v, want none", labels)
	}
}
