//go:build e2e

package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// nobody is a user that owns nothing.
const nobody = 65534

// asUser returns setup as a user who is in the group of Docker's socket, and not root.
func asUser(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIP: only root can be another user")
	}
	var socket unix.Stat_t
	if err := unix.Stat("/var/run/docker.sock", &socket); err != nil {
		t.Fatal(err)
	}
	home := filepath.Join("/tmp", t.Name())
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	if err := os.Chown(home, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(suite.setup) // which may lie where only root may look
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(home, "setup")
	if err := os.WriteFile(copied, program, 0o755); err != nil { // #nosec G306 -- a program
		t.Fatal(err)
	}
	if err := os.Chown(copied, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), copied, args...)
	cmd.Dir, cmd.Env = home, append(os.Environ(), "HOME="+home, "KUBECONFIG="+filepath.Join(home, "kubeconfig"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody, Groups: []uint32{socket.Gid}}}
	return cmd
}

func TestUp_OfAUserOfDockerMakesWhatRootMakes(t *testing.T) {
	upAfterwards(t)
	docker(t, "rm", "-f", "kind-registry-pusher")
	if out, err := asUser(t, "up", "--cluster", clusterName).CombinedOutput(); err != nil {
		t.Fatalf("setup up: %v\n%s", err, out)
	}
	if out := up(t); !strings.Contains(out, "Nothing to change") {
		t.Errorf("root's setup up says after another user's:\n%s", out)
	}
}

func TestPush_OfAUserOfDockerTakesThePusherOfRoot(t *testing.T) {
	up(t)
	image := buildImage(t, "e2e/user:local", "hello")
	if out, err := asUser(t, "push", image).CombinedOutput(); err != nil {
		t.Errorf("setup push: %v\n%s", err, out)
	}
}

func TestUp_WaitsForAnotherSetup(t *testing.T) {
	upAfterwards(t)
	docker(t, "rm", "-f", "kind-registry-pusher", "kind-registry")
	type result struct {
		out string
		err error
	}
	results := make(chan result)
	for range 2 {
		go func() {
			out, err := suite.run(t.Context(), "up", "--cluster", clusterName)
			results <- result{out, err}
		}()
	}
	var waited, unchanged int
	for range 2 {
		r := <-results
		if r.err != nil {
			t.Errorf("setup up: %v\n%s", r.err, r.out)
		}
		waited += strings.Count(r.out, "Waiting for process ")
		unchanged += strings.Count(r.out, "Nothing to change")
	}
	if waited != 1 || unchanged != 1 {
		t.Errorf("%d waited and %d found nothing to change, want one of them", waited, unchanged)
	}
	eventually(t, 30*time.Second, "all is as it should be", func(ctx context.Context) string {
		if out, err := suite.run(ctx, "status", "--cluster", clusterName); err != nil {
			return out
		}
		return ""
	})
}
