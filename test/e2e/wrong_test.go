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

func TestUp_SaysInOneSentenceWhatIsWrongAndLeavesNothing(t *testing.T) {
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
		want      string // what the sentence must name
	}{
		"Docker is not running": {
			env: []string{"DOCKER_HOST=unix:///nowhere/docker.sock"}, want: `unix:///nowhere/docker\.sock.*start it`,
		},
		"the registry's port is taken":                 {args: []string{"--registry-port", taken}, want: "port.* " + taken},
		"the cluster does not exist with --adopt-only": {args: []string{"--adopt-only"}, want: `no kind cluster "faulty".*--adopt-only`},
		"the kind configuration has an unknown field":  {args: []string{"--config", write("field.yaml", "kind: Cluster\nndoes: []\n")}, want: `field\.yaml.*ndoes`},
		"the kind configuration is refused by kind":    {args: []string{"--config", write("role.yaml", "kind: Cluster\nnodes: [{role: boss}]\n")}, want: "boss"},
		"the kind configuration does not exist":        {args: []string{"--config", filepath.Join(dir, "none.yaml")}, want: `none\.yaml.*--config`},
		"the kubeconfig is not one":                    {args: []string{"--kubeconfig", write("broken", "{")}, want: `broken.*--kubeconfig`},
		"the kubeconfig cannot be read":                {args: []string{"--kubeconfig", dir}, want: `kubeconfig.*--kubeconfig`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			before := everything(t)
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
			sentence := lines[len(lines)-1]
			t.Log(sentence)
			if !regexp.MustCompile(test.want).MatchString(sentence) {
				t.Errorf("the last line is %q, want it to match %q", sentence, test.want)
			}
			if after := everything(t); after != before {
				t.Errorf("something was left:\n%s\nwant:\n%s", after, before)
			}
		})
	}
}

// everything is every container, volume and network that Docker has.
func everything(t *testing.T) string {
	t.Helper()
	return strings.Join([]string{
		docker(t, "ps", "-a", "--format", "{{.Names}}"), docker(t, "volume", "ls", "-q"),
		docker(t, "network", "ls", "--format", "{{.Name}}"),
	}, "\n")
}
