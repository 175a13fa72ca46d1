//go:build e2e

package e2e

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestUp_ReportsErrorsOnOneLineAndLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	_, taken, _ := net.SplitHostPort(listener.Addr().String())

	tests := map[string]struct {
		env, args []string
		want      string // regular expression that the last line must match
	}{
		"Docker is not running": {
			env: []string{"DOCKER_HOST=unix:///nowhere/docker.sock"}, want: `unix:///nowhere/docker\.sock.*start it`,
		},
		"the registry's port is taken":                 {args: []string{"--registry-port", taken}, want: "port.* " + taken},
		"the cluster does not exist with --adopt-only": {args: []string{"--adopt-only"}, want: `no kind cluster "faulty".*--adopt-only`},
		"the kind configuration has an unknown field":  {args: []string{"--config", write("field.yaml", "kind: Cluster\nndoes: []\n")}, want: `field\.yaml.*ndoes`},
		"kind refuses the kind configuration":          {args: []string{"--config", write("role.yaml", "kind: Cluster\nnodes: [{role: boss}]\n")}, want: "boss"},
		"the kind configuration does not exist":        {args: []string{"--config", filepath.Join(dir, "none.yaml")}, want: `none\.yaml.*--config`},
		"the kubeconfig is malformed":                  {args: []string{"--kubeconfig", write("broken", "{")}, want: `broken.*--kubeconfig`},
		"the kubeconfig is unreadable":                 {args: []string{"--kubeconfig", dir}, want: `kubeconfig.*--kubeconfig`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			before := listDockerObjects(t)
			args := append([]string{"up", "--cluster", "faulty", "--node-image", suite.nodeImage}, test.args...)
			if !strings.Contains(strings.Join(args, " "), "--kubeconfig") {
				args = append(args, "--kubeconfig", filepath.Join(t.TempDir(), "kubeconfig"))
			}
			cmd := exec.CommandContext(t.Context(), suite.setup, args...)
			cmd.Env = append(os.Environ(), test.env...)
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Fatalf("setup %s succeeded:\n%s", strings.Join(args, " "), out)
			}
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			last := lines[len(lines)-1]
			t.Log(last)
			if !regexp.MustCompile(test.want).MatchString(last) {
				t.Errorf("last line = %q, want a match of %q", last, test.want)
			}
			if after := listDockerObjects(t); after != before {
				t.Errorf("Docker's containers, volumes and networks =\n%s\nwant\n%s", after, before)
			}
		})
	}
}

// listDockerObjects lists all of Docker's containers, volumes and networks.
func listDockerObjects(t *testing.T) string {
	t.Helper()
	return strings.Join([]string{
		docker(t, "ps", "-a", "--format", "{{.Names}}"), docker(t, "volume", "ls", "-q"),
		docker(t, "network", "ls", "--format", "{{.Name}}"),
	}, "\n")
}
