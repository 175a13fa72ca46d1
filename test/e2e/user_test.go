//go:build e2e

package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"kind-local-registry/config"
)

// user is an ordinary user of the host who may use Docker.
type user struct {
	home       string
	setup      string // path of an executable copy of setup
	credential *syscall.Credential
}

// newUser returns a user with an empty home directory.
func newUser(t *testing.T) user {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIP: only root can become another user")
	}
	const id = 20000
	socket, _ := strings.CutPrefix(docker(t, "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"), "unix://")
	info, err := os.Stat(socket)
	if err != nil {
		t.Fatal(err)
	}
	group := info.Sys().(*syscall.Stat_t).Gid
	if group == 0 {
		t.Skipf("SKIP: %s belongs to the group root", socket)
	}
	home := t.TempDir()
	program, err := os.ReadFile(suite.setup)
	if err != nil {
		t.Fatal(err)
	}
	setup := filepath.Join(home, "setup")
	if err := os.WriteFile(setup, program, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, directory := range []string{home, filepath.Dir(home)} { // the parent directory is accessible only to root
		if err := os.Chown(directory, id, id); err != nil {
			t.Fatal(err)
		}
	}
	return user{home, setup, &syscall.Credential{Uid: id, Gid: id, Groups: []uint32{group}}}
}

// mustRun runs setup as the user and returns its stdout. It fails the test if setup fails.
func (u user) mustRun(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), u.setup, args...)
	cmd.Dir = u.home
	cmd.Env = []string{"HOME=" + u.home, "PATH=" + os.Getenv("PATH")}
	if host := os.Getenv("DOCKER_HOST"); host != "" {
		cmd.Env = append(cmd.Env, "DOCKER_HOST="+host)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: u.credential}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("setup %s as an ordinary user: %v\n%s%s", strings.Join(args, " "), err, out, &stderr)
	}
	return string(out)
}

func TestOrdinaryUser_UsesWhatRootSetUp(t *testing.T) {
	u := newUser(t)
	up(t)
	image := buildImage(t, "e2e/ordinary-user:local", "hello", 5)
	before := snapshot(t)

	u.mustRun(t, "up", "--cluster", clusterName) // adds the cluster to the user's kubeconfig
	u.mustRun(t, "status", "--cluster", clusterName)
	var pushed []pushEntry
	out := u.mustRun(t, "push", "-o", "json", image)
	if err := json.Unmarshal([]byte(out), &pushed); err != nil || len(pushed) != 1 || pushed[0].Digest == "" {
		t.Fatalf("setup push -o json as an ordinary user: %v\n%s", err, out)
	}
	if out := u.mustRun(t, "explain", "--cluster", clusterName, "-o", "json", image); !strings.Contains(out, pushed[0].Digest) {
		t.Errorf("setup explain as an ordinary user has no digest %s:\n%s", pushed[0].Digest, out)
	}
	if out := u.mustRun(t, "up", "--cluster", clusterName); !strings.Contains(out, "Nothing to change") {
		t.Errorf("setup up as an ordinary user prints no \"Nothing to change\":\n%s", out)
	}
	if after := snapshot(t); after != before {
		t.Errorf("state after setup as an ordinary user =\n%s\nwant\n%s", after, before)
	}
}

func TestRoot_UsesWhatAnOrdinaryUserSetUp(t *testing.T) {
	u := newUser(t)
	up(t)
	upAfterwards(t)
	docker(t, "rm", "-f", config.PusherContainer, config.RegistryContainer)

	u.mustRun(t, append([]string{"up", "--cluster", clusterName}, linkArgs()...)...)
	if out := up(t); !strings.Contains(out, "Nothing to change") {
		t.Errorf("setup up as root after an ordinary user prints no \"Nothing to change\":\n%s", out)
	}
	image := buildImage(t, "e2e/set-up-by-user:local", "hello", 5)
	createPod(t, "set-up-by-user", namespace, podSpec(image))
	awaitRunning(t, "set-up-by-user", time.Minute)
}
