//go:build e2e

package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kind-local-registry/internal/host/report"
)

// watching is a running setup watch -o json.
type watching struct {
	command *exec.Cmd
	lines   chan report.Watched
	seen    []string
}

// startWatch starts setup watch, and waits until it is connected. It is interrupted when the test ends.
func startWatch(t *testing.T, args ...string) *watching {
	t.Helper()
	args = append([]string{"watch", "--cluster", clusterName, "-o", "json"}, args...)
	w := &watching{command: exec.CommandContext(t.Context(), suite.setup, args...), lines: make(chan report.Watched, 1000)}
	w.command.Cancel = func() error { return w.command.Process.Signal(os.Interrupt) }
	w.command.Stderr = os.Stderr
	stdout, err := w.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(w.lines)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			var line report.Watched
			if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
				t.Errorf("setup watch printed %q: %v", lines.Text(), err)
			}
			w.lines <- line
		}
	}()
	t.Cleanup(func() {
		for range w.lines { // until the interrupted process has ended
		}
		if err := w.command.Wait(); w.command.ProcessState.ExitCode() != 0 {
			t.Errorf("setup watch: %v", err)
		}
	})
	connected := map[string]bool{}
	w.await(t, "setup watch is connected", func(line report.Watched) bool {
		connected[line.Source] = connected[line.Source] || line.Change == "connected"
		return connected["pusher"] && connected["cluster"]
	})
	return w
}

// await waits for a line.
func (w *watching) await(t *testing.T, what string, found func(report.Watched) bool) {
	t.Helper()
	for limit := time.After(time.Minute); ; {
		select {
		case line, more := <-w.lines:
			if !more {
				t.Fatalf("setup watch ended before %s; lines:\n%s", what, strings.Join(w.seen, "\n"))
			}
			text, _ := json.Marshal(line) //nolint:errchkjson // strings and numbers
			w.seen = append(w.seen, string(text))
			if found(line) {
				return
			}
		case <-limit:
			t.Fatalf("no line in a minute: %s; lines:\n%s", what, strings.Join(w.seen, "\n"))
		}
	}
}

// image waits until the image is in the state.
func (w *watching) image(t *testing.T, name, state string) (line report.WatchedImage) {
	t.Helper()
	w.await(t, name+" is "+state, func(found report.Watched) bool {
		if found.Image == nil || found.Image.Name != name || found.Image.State != state {
			return false
		}
		line = *found.Image
		return true
	})
	return line
}

// pod waits until a pod whose name has the prefix is in the state.
func (w *watching) pod(t *testing.T, prefix, state string) (line report.WatchedPod) {
	t.Helper()
	w.await(t, "pod "+prefix+" is "+state, func(found report.Watched) bool {
		if found.Change != "pod" || !strings.HasPrefix(found.Pod.Name, prefix) || found.Pod.State != state {
			return false
		}
		line = *found.Pod
		return true
	})
	return line
}

func TestWatch_FollowsBuildsAndTheirPods(t *testing.T) {
	const app, name = "watched", "e2e/watched:local"
	w := startWatch(t, "-n", namespace)
	buildImage(t, name, "first build")
	first := w.image(t, name, "built")
	createDeployment(t, deployment(app, name, 1))
	running := w.pod(t, app, "running")
	if running.Image != name || running.Digest == "" {
		t.Errorf("running pod = %+v, want one that runs %s by digest", running, name)
	}
	eventually(t, time.Minute, "the image is in the registry", explained(name, " Rewritten"))

	buildImage(t, name, "second build")
	if second := w.image(t, name, "built"); second.ImageID == first.ImageID {
		t.Errorf("the second build = %+v, want another image ID than the first", second)
	}
	if stale := w.pod(t, app, "stale"); stale.Name != running.Name {
		t.Errorf("stale pod = %+v, want %s", stale, running.Name)
	}
	w.image(t, name, "available")
	restart := `{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"now"}}}}}`
	_, err := suite.kube.AppsV1().Deployments(namespace).Patch(t.Context(), app, types.StrategicMergePatchType, []byte(restart), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.await(t, "a pod of the rollout", func(line report.Watched) bool { return line.Pod != nil && line.Pod.Rollout })
	w.await(t, "the first pod is gone", func(line report.Watched) bool { return line.Change == "gone" && line.Pod.Name == running.Name })

	createPod(t, "watched-typo", namespace, podSpec("localhost:5001/e2e/wached:local"))
	if typo := w.pod(t, "watched-typo", "cannotPull"); !strings.Contains(typo.Detail, "e2e/wached") {
		t.Errorf("pod with a typo = %+v, want the kubelet's error", typo)
	}
}

func TestWatch_ShowsThePushThatAPodWaitsFor(t *testing.T) {
	const name, megabytes = "e2e/waited:local", 250 // the push takes longer than 2 s, so lines show its progress
	switchLinkingOff(t)                             // a linked image needs no push
	slowRegistry(t)
	buildImage(t, name, "large", megabytes)
	w := startWatch(t)
	createPod(t, "waited", namespace, podSpec(name))
	w.pod(t, "waited", "waitingForPush")
	w.await(t, "progress", func(line report.Watched) bool {
		return line.Image != nil && line.Image.Name == name && line.Image.Bytes > 0 && line.Image.Bytes < line.Image.Total
	})
	w.image(t, name, "available")
	w.pod(t, "waited", "running")
}

func TestWatch_ConnectsAgain(t *testing.T) {
	const name = "e2e/watched-again:local"
	w := startWatch(t)
	docker(t, "restart", "-t", "1", "kind-registry-pusher")
	for _, change := range []string{"disconnected", "connected"} {
		w.await(t, "the pusher is "+change, func(line report.Watched) bool { return line.Source == "pusher" && line.Change == change })
	}
	buildImage(t, name, "after the restart")
	w.image(t, name, "built")
}

func TestWatch_ConnectsToARestartedCluster(t *testing.T) {
	needFull(t)
	w := startWatch(t)
	docker(t, "restart", clusterName+"-control-plane")
	for _, change := range []string{"disconnected", "connected"} {
		w.await(t, "the cluster is "+change, func(line report.Watched) bool { return line.Source == "cluster" && line.Change == change })
	}
	createPod(t, "watched-afterwards", namespace, podSpec(buildImage(t, "e2e/watched-afterwards:local", "hello")))
	w.pod(t, "watched-afterwards", "running")
}

func TestWatch_ReportsLoadsAndTags(t *testing.T) {
	const name = "e2e/watched-load:local"
	w, saved := startWatch(t), filepath.Join(t.TempDir(), "image.tar")
	buildImage(t, name, "first build")
	first := w.image(t, name, "built")
	docker(t, "save", "-o", saved, name)
	buildImage(t, name, "second build")
	second := w.image(t, name, "built")
	docker(t, "load", "-i", saved)
	if loaded := w.image(t, name, "built"); loaded.ImageID != first.ImageID {
		t.Errorf("the loaded image = %+v, want the first build %s", loaded, first.ImageID)
	}
	docker(t, "tag", second.ImageID, name)
	if tagged := w.image(t, name, "built"); tagged.ImageID != second.ImageID {
		t.Errorf("the tagged image = %+v, want the second build %s", tagged, second.ImageID)
	}
}

func TestWatch_LeavesTheTerminalAsItWas(t *testing.T) {
	keyboard, screen := openTerminal(t)
	before, err := unix.IoctlGetTermios(int(screen.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), suite.setup, "watch", "--cluster", clusterName)
	command.Env = append(os.Environ(), "TERM=xterm", "NO_COLOR=")
	command.Stdin, command.Stdout, command.Stderr = screen, screen, screen
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	shown := make([]byte, 0, 1<<20)
	for !strings.Contains(string(shown), "kind cluster "+clusterName+": ") || strings.Contains(last(shown), "connecting") {
		read := make([]byte, 4096)
		n, err := keyboard.Read(read)
		if err != nil {
			t.Fatalf("reading the terminal: %v; it shows %q", err, shown)
		}
		shown = append(shown, read[:n]...)
	}
	if _, err := io.WriteString(keyboard, "\x03"); err != nil { // Ctrl-C
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, keyboard) }() // the last frame
	if err := command.Wait(); err != nil {
		t.Errorf("setup watch after Ctrl-C = %v, want exit status 0", err)
	}
	if strings.Contains(string(shown), "\x1b[?") {
		t.Errorf("setup watch changed a mode of the terminal: %q", shown)
	}
	after, err := unix.IoctlGetTermios(int(screen.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	if *after != *before {
		t.Errorf("settings of the terminal after setup watch = %+v, want %+v", after, before)
	}
}

// last returns the last frame.
func last(shown []byte) string {
	frames := strings.Split(string(shown), "kind cluster ")
	return frames[len(frames)-1]
}

// openTerminal opens a pseudo terminal (pts(4)). What is written to keyboard is typed, and keyboard reads what is shown.
func openTerminal(t *testing.T) (keyboard, screen *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = keyboard.Close() })
	if err := unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetUint32(int(keyboard.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	screen, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = screen.Close() })
	return keyboard, screen
}
