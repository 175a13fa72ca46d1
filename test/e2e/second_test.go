//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// second is a second kind cluster that a test creates beside the suite's cluster.
type second struct{ name, kubeconfig string }

// newSecond returns a second cluster that does not exist yet. It is deleted when the test ends.
func newSecond(t *testing.T, name string) second {
	t.Helper()
	s := second{name, filepath.Join(t.TempDir(), "kubeconfig")}
	t.Cleanup(func() {
		if out, err := backgroundCommand(suite.setup, "kind", "delete", "cluster", "--name", name, "--kubeconfig", s.kubeconfig); err != nil {
			t.Errorf("kind delete cluster: %v\n%s", err, out)
		}
	})
	return s
}

// run runs setup and returns its stdout and stderr.
func (s second) run(ctx context.Context, args ...string) (stdout, stderr string, err error) {
	var out, messages bytes.Buffer
	cmd := exec.CommandContext(ctx, suite.setup, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+s.kubeconfig)
	cmd.Stdout, cmd.Stderr = &out, &messages
	err = cmd.Run()
	return out.String(), messages.String(), err
}

// mustRun is like run, and fails the test if setup fails.
func (s second) mustRun(t *testing.T, args ...string) (stdout, stderr string) {
	t.Helper()
	stdout, stderr, err := s.run(t.Context(), args...)
	if err != nil {
		t.Fatalf("setup %s: %v\n%s%s", strings.Join(args, " "), err, stdout, stderr)
	}
	return stdout, stderr
}

// kubectl runs kubectl on the cluster and returns its stdout.
func (s second) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	return command(t, "kubectl", append([]string{"--kubeconfig", s.kubeconfig}, args...)...)
}

// hasImage reports whether the cluster's node has the image under that name.
func (s second) hasImage(t *testing.T, image string) bool {
	t.Helper()
	names := docker(t, "exec", s.name+"-control-plane", "ctr", "-n", "k8s.io", "images", "list", "-q")
	return slices.Contains(strings.Fields(names), "docker.io/"+image)
}

// clusters returns the names of all kind clusters.
func clusters(t *testing.T) []string {
	t.Helper()
	return strings.Fields(command(t, suite.setup, "kind", "get", "clusters", "-q"))
}

func TestKind_CreatesAndLoadsThroughSetup(t *testing.T) {
	up(t)
	image := buildImage(t, "e2e/instead-of-loading:local", "hello", 5)
	s := newSecond(t, "e2e-kind")
	s.create(t, filepath.Join(configDirectory, "cert-manager.yaml"))

	stdout, stderr := s.mustRun(t, "kind", "load", "docker-image", image, image, "--name", s.name)
	line := `Image: "` + image + `" with ID "sha256:`
	if stdout != "" || strings.Count(stderr, line) != 1 || !strings.HasSuffix(stderr, "not yet present in the registry, pushing...\n") {
		t.Errorf("kind load prints %q to stdout and %q to stderr; want one line, on stderr", stdout, stderr)
	}
	if s.hasImage(t, image) {
		t.Errorf("the node has %s under its own name, want it in the registry only", image)
	}
	_, stderr = s.mustRun(t, "kind", "load", "docker-image", image, "-n", s.name, "--nodes", s.name+"-control-plane")
	if !strings.HasSuffix(stderr, "already present in the registry.\n") {
		t.Errorf("a second kind load prints %q", stderr)
	}
	s.wantRuns(t, image)
	s.wantNoGuess(t)

	s.wantDown(t)
	if linking() {
		wantPodLinked(t, "after-setup-down", image, worker)
	}
	if out, err := suite.run(t.Context(), "status"); err != nil || !strings.Contains(out, clusterName+", 2 nodes") {
		t.Errorf("setup status without --cluster prints\n%s(error %v)\nwant the status of %s, the only user of the registry", out, err, clusterName)
	}
	s.mustRun(t, "kind", "load", "docker-image", image, "--name", s.name)
	if !s.hasImage(t, image) {
		t.Errorf("kind load into a cluster that is not set up did not load %s", image)
	}
}

// wantDown runs setup down. It must keep the cluster, which kind created, and what the suite's cluster uses.
func (s second) wantDown(t *testing.T) {
	t.Helper()
	before := listOurContainers(t)
	stdout, stderr := s.mustRun(t, "down", "--cluster", s.name)
	if want := "kept: it serves kind cluster " + clusterName + " too"; !strings.Contains(stdout+stderr, want) {
		t.Errorf("setup down prints\n%s%s\nwant %q", stdout, stderr, want)
	}
	if after := listOurContainers(t); after != before {
		t.Errorf("our containers after setup down =\n%s\nwant\n%s", after, before)
	}
	if got := clusters(t); !slices.Contains(got, s.name) {
		t.Fatalf("kind clusters after setup down = %q, want still %s, which kind created", got, s.name)
	}
}

// create creates the cluster through setup kind, from a kind configuration that setup kind-config has merged.
func (s second) create(t *testing.T, file string) {
	t.Helper()
	merged, _ := s.mustRun(t, "kind-config", "-f", file)
	config := filepath.Join(t.TempDir(), "kind.yaml")
	if err := os.WriteFile(config, []byte(merged), 0o600); err != nil {
		t.Fatal(err)
	}
	stdout, stderr := s.mustRun(t, "kind", "create", "cluster", "--name", s.name, "--config", config, "--image", suite.nodeImage)
	_, after, created := strings.Cut(stderr, `Creating cluster "`+s.name+`"`)
	if stdout != "" || !created || !strings.Contains(after, `now run in kind cluster "`+s.name+`"`) {
		t.Errorf("kind create cluster prints %q to stdout, and to stderr\n%s\nwant kind's output, and then that of setup up", stdout, stderr)
	}
}

// wantRuns fails the test unless a pod runs the image from the registry.
func (s second) wantRuns(t *testing.T, image string) {
	t.Helper()
	s.kubectl(t, "run", "loaded", "--image", image, "--image-pull-policy", "IfNotPresent")
	s.kubectl(t, "wait", "--for", "condition=Ready", "pod/loaded", "--timeout", "60s")
	running := s.kubectl(t, "get", "pod", "loaded", "-o", "jsonpath={.spec.containers[0].image}")
	if !strings.HasPrefix(running, registry+"/"+image+"@sha256:") {
		t.Errorf("the pod runs %s, want %s from the registry", running, image)
	}
}

// wantNoGuess fails the test unless setup asks for a name while two clusters use the registry.
func (s second) wantNoGuess(t *testing.T) {
	t.Helper()
	for _, name := range []string{"up", "status", "down", "explain"} {
		args := []string{name}
		if name == "explain" {
			args = append(args, "example/app:local")
		}
		_, stderr, err := s.run(t.Context(), args...)
		want := "2 kind clusters: " + clusterName + ", " + s.name + "; name one with --cluster"
		if err == nil || !strings.Contains(stderr, want) {
			t.Errorf("setup %s prints %q (error %v), want %q", name, stderr, err, want)
		}
	}
	t.Setenv("KIND_CLUSTER_NAME", s.name)
	eventually(t, time.Minute, "the cluster in KIND_CLUSTER_NAME is healthy", func(ctx context.Context) string {
		out, stderr, err := s.run(ctx, "status")
		if err != nil || !strings.Contains(out, s.name+", 1 node, adopted") {
			return out + stderr
		}
		return ""
	})
	t.Setenv("KIND_CLUSTER_NAME", "")
}
