//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

const (
	clusterName = "e2e"
	registry    = "localhost:5001"
	namespace   = "default"
	ours        = "kind-local-registry"
)

// environment contains what all tests share: the programs, the cluster and its API server.
type environment struct {
	setup      string
	hello      string // path of the program of examples/hello, which every image runs
	nodeImage  string
	kubeconfig string
	access     *rest.Config
	kube       kubernetes.Interface
}

var suite environment

func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard()) // client-go's log
	code, err := runSuite(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

func runSuite(m *testing.M) (code int, err error) {
	root, err := filepath.Abs("../..")
	if err != nil {
		return 1, err
	}
	temporary, err := os.MkdirTemp("", "e2e-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temporary)) }()
	suite = environment{
		setup: filepath.Join(root, "bin", "setup"), hello: filepath.Join(temporary, "hello"),
		nodeImage: os.Getenv("NODE_IMAGE"), kubeconfig: filepath.Join(temporary, "kubeconfig"),
	}
	if suite.nodeImage == "" {
		return 1, fmt.Errorf("NODE_IMAGE is not set: run hack/e2e.sh")
	}
	ctx := context.Background()
	if err := buildHello(ctx, suite.hello); err != nil {
		return 1, err
	}
	if out, err := suite.up(ctx); err != nil {
		return 1, fmt.Errorf("setup up: %w\n%s", err, out)
	}
	code = m.Run()
	if out, err := suite.run(ctx, "down", "--cluster", clusterName, "--registry", "--yes"); err != nil {
		return 1, fmt.Errorf("setup down: %w\n%s", err, out)
	}
	return code, nil
}

// count returns how many times a test repeats a long step. It returns full if E2E_FULL is set (make e2e-full,
// docs/reliability.md), and few otherwise.
func count(few, full int) int {
	if os.Getenv("E2E_FULL") != "" {
		return full
	}
	return few
}

// needFull skips a test that takes minutes, unless E2E_FULL is set.
func needFull(t *testing.T) {
	t.Helper()
	if count(0, 1) == 0 {
		t.Skip("SKIP: this test takes minutes; set E2E_FULL=1 to run it")
	}
}

// run runs setup and returns its output.
func (e *environment) run(ctx context.Context, args ...string) (string, error) {
	args = append(args, "--kubeconfig", e.kubeconfig)
	out, err := exec.CommandContext(ctx, e.setup, args...).CombinedOutput()
	return string(out), err
}

// linkOff is the value of E2E_LINK that makes all tests run without the linker.
const linkOff = "off"

// linking reports whether the tests run with the linker.
func linking() bool { return os.Getenv("E2E_LINK") != linkOff }

// upArgs returns the arguments with which the tests run setup up. Later arguments replace earlier ones.
func (e *environment) upArgs(args ...string) []string {
	args = append([]string{"up", "--cluster", clusterName, "--config", "testdata/kind.yaml", "--node-image", e.nodeImage}, args...)
	return append(args, linkArgs()...)
}

// linkArgs returns the arguments with which setup up switches the linker off, if the tests run without it.
func linkArgs() []string {
	if linking() {
		return nil
	}
	return []string{"--link", linkOff}
}

// up runs setup up and connects to the cluster, which may have just been created.
func (e *environment) up(ctx context.Context, args ...string) (string, error) {
	out, err := e.run(ctx, e.upArgs(args...)...)
	if err != nil {
		return out, err
	}
	access, err := clientcmd.BuildConfigFromFlags("", e.kubeconfig)
	if err != nil {
		return out, err
	}
	access.QPS, access.Burst = 100, 200
	e.access = access
	e.kube, err = kubernetes.NewForConfig(access)
	return out, err
}

// up restores the installation by running setup up.
func up(t *testing.T) string {
	t.Helper()
	out, err := suite.up(t.Context())
	if err != nil {
		t.Fatalf("setup up: %v\n%s", err, out)
	}
	return out
}

// upAfterwards runs up when the test ends.
func upAfterwards(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		if out, err := suite.up(context.Background()); err != nil {
			t.Errorf("setup up: %v\n%s", err, out)
		}
	})
}

// command runs a command and returns its stdout.
func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

func docker(t *testing.T, args ...string) string {
	t.Helper()
	return command(t, "docker", args...)
}

// eventually calls check until it returns "". After the limit, it fails the test with the last problem that check returned.
func eventually(t *testing.T, limit time.Duration, what string, check func(context.Context) string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	if problem := await(ctx, check); problem != "" {
		t.Fatalf("%s: not within %s: %s", what, limit, problem)
	}
}

// await calls check until it returns "" or ctx is done. It returns the last problem that check returned before ctx was done, because
// afterwards a problem may only be that ctx is done.
func await(ctx context.Context, check func(context.Context) string) string {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	last := ""
	for {
		problem := check(ctx)
		if problem == "" {
			return ""
		}
		if last == "" || ctx.Err() == nil {
			last = problem
		}
		select {
		case <-ctx.Done():
			return last
		case <-tick.C:
		}
	}
}
