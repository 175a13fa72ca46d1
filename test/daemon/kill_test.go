//go:build daemon

package daemon

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"kind-local-registry/internal/push"
	"kind-local-registry/internal/pusher"
	"kind-local-registry/internal/rewrite/rewritetest"
	"kind-local-registry/test/dockerd"
)

// TestPusher_KilledDuringPushesLeavesNoIncompleteImage kills the real program 50 times while it pushes.
func TestPusher_KilledDuringPushesLeavesNoIncompleteImage(t *testing.T) {
	t.Parallel()
	d := daemons[0]
	root := t.TempDir()
	s := newService(t, d, root)
	program, cut := build(t, "webhook"), 0
	for i := range 50 {
		reference := fmt.Sprintf("kill/i%d:1", i)
		noise(t, d, reference, 3_000_000, byte(100+i))
		if killedPush(t, program, s.url, d, reference) {
			cut++
		}
		s.wantComplete(t, fmt.Sprintf("kill/i%d", i), "1")
	}
	if t.Logf("%d of 50 pushes were interrupted", cut); cut < 5 {
		t.Errorf("%d pushes were interrupted, want at least 5", cut)
	}
	for i := range 50 {
		digest := mustPush(t, s, fmt.Sprintf("kill/i%d:1", i))
		s.pull(t, fmt.Sprintf("kill/i%d", i), digest)
	}
}

// build builds one of the project's programs.
func build(t *testing.T, name string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), name)
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "kind-local-registry/cmd/"+name).CombinedOutput()
	if err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	return program
}

// killedPush starts a pusher, requests a push of the image, and kills the pusher at a random moment. It reports whether this
// interrupted the push.
func killedPush(t *testing.T, program, registry string, d *daemon, reference string) (cut bool) {
	t.Helper()
	certs := t.TempDir()
	credentials, err := pusher.NewCredentials(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for file, content := range credentials.Files() {
		if err := os.WriteFile(filepath.Join(certs, file), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	address := freeAddress(t)
	command := exec.CommandContext(t.Context(), program, "pusher", "--listen", address, "--registry", registry,
		"--docker-host", d.Host, "--certs", certs)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	security, err := pusher.ClientTLS(credentials.CA, credentials.ClientCert, credentials.ClientKey)
	if err != nil {
		t.Fatal(err)
	}
	c := pusher.NewClient(address, security)
	defer c.Close()
	await(t, func() error { _, err := c.Lookup(t.Context(), rewritetest.Name(t, "nothing:1")); return err })
	go func() {
		time.Sleep(time.Duration(rand.IntN(40)) * time.Millisecond)
		_ = command.Process.Kill()
	}()
	_, err = c.Push(t.Context(), reference, nil)
	_ = command.Wait()
	return err != nil
}

// TestPush_RetriesAfterTheRegistryIsKilled kills the real registry during a push and restarts it.
func TestPush_RetriesAfterTheRegistryIsKilled(t *testing.T) {
	t.Parallel()
	d := daemonOf(t, dockerd.Overlay2)
	program, root, address := build(t, "registry"), t.TempDir(), freeAddress(t)
	start := func() *exec.Cmd {
		command := exec.CommandContext(t.Context(), program, "-listen", address, "-root", root)
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		return command
	}
	s := newServiceAt(t, d, "http://"+address, slog.DiscardHandler)
	running := start()
	await(t, func() error {
		_, err := s.registry.Presence(t.Context(), push.Target{Repository: "a", Reference: "1"})
		return err
	})
	for i := range 10 {
		reference := fmt.Sprintf("registry-killed/i%d:1", i)
		noise(t, d, reference, 3_000_000, byte(200+i))
		time.AfterFunc(time.Duration(rand.IntN(40))*time.Millisecond, func() { _ = running.Process.Kill() })
		restarted := make(chan *exec.Cmd, 1)
		go func() {
			_ = running.Wait()
			restarted <- start()
		}()
		digest := mustPush(t, s, reference)
		running = <-restarted
		await(t, func() error {
			_, err := s.registry.Presence(t.Context(), push.Target{Repository: "a", Reference: "1"})
			return err
		})
		s.pull(t, fmt.Sprintf("registry-killed/i%d", i), digest)
	}
}
