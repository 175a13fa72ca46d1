package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const registryHost = "localhost:5001"

// showsPID is the part of a fake systemctl that prints containerd's process ID, if there is one.
const showsPID = "if [ \"$1\" = show ]; then cat \"$ROOT/run/pid\" 2>/dev/null; exit 0; fi\n"

// root is a fake node whose files are in a directory on this machine. It runs the scripts with the real sh. Its containerd and
// systemctl are scripts too.
type root string

// newRoot returns a node whose containerd, like the real one, reads its configuration file only when it is restarted.
func newRoot(t *testing.T, containerdConfig string) root {
	t.Helper()
	r := root(t.TempDir())
	r.write(t, ContainerdConfig, containerdConfig)
	r.write(t, "/run/config.toml", containerdConfig)
	r.write(t, "/bin/containerd", "#!/bin/sh\nif [ \"$1\" = --version ]; then echo 'containerd v2.1.4'; else cat \"$ROOT/run/config.toml\"; fi\n")
	r.write(t, "/bin/systemctl", "#!/bin/sh\n"+showsPID+"echo \"$@\" >>\"$ROOT/run/systemctl\"\ncp \"$ROOT"+ContainerdConfig+"\" \"$ROOT/run/config.toml\"\n")
	r.makeExecutable(t, "containerd", "systemctl")
	return r
}

// makeExecutable makes scripts in /bin executable.
func (r root) makeExecutable(t *testing.T, commands ...string) {
	t.Helper()
	for _, command := range commands {
		if err := os.Chmod(filepath.Join(string(r), "bin", command), 0o700); err != nil {
			t.Fatal(err)
		}
	}
}

// Run implements Runner. In arguments, it replaces paths below /etc and /var with paths below the root.
func (r root) Run(ctx context.Context, script string, args ...string) ([]byte, error) {
	words := []string{"-ec", script, "sh"}
	for _, arg := range args {
		if strings.HasPrefix(arg, "/etc/") || strings.HasPrefix(arg, "/var/") {
			arg = string(r) + arg
		}
		words = append(words, arg)
	}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "sh", words...)
	cmd.Env = []string{"ROOT=" + string(r), "PATH=" + filepath.Join(string(r), "bin") + ":" + os.Getenv("PATH")}
	cmd.Stderr = &stderr
	stdout, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, stderr.String())
	}
	return stdout, nil
}

func (r root) write(t *testing.T, path, content string) {
	t.Helper()
	file := filepath.Join(string(r), path)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (r root) remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(filepath.Join(string(r), path)); err != nil {
		t.Fatal(err)
	}
}

// files returns the contents of all files in /etc, keyed by path.
func (r root) files(t *testing.T) map[string]string { t.Helper(); return r.filesBelow(t, "etc") }

// filesBelow returns the contents of all files in a directory, keyed by path.
func (r root) filesBelow(t *testing.T, directory string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(filepath.Join(string(r), directory), func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		files[strings.TrimPrefix(path, string(r))] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func (r root) exists(path string) bool {
	_, err := os.Stat(filepath.Join(string(r), path))
	return err == nil
}

// restarts returns how many times containerd was restarted.
func (r root) restarts(t *testing.T) int {
	t.Helper()
	return strings.Count(r.systemctl(t), "restart containerd\n")
}

// systemctl returns the arguments of all calls of systemctl, a line for each call.
func (r root) systemctl(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(string(r), "run/systemctl"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(content)
}
