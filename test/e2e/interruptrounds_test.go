//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// stopTimeout limits how long an interrupted setup may take to end. It may have to wait for kind, which cannot be interrupted.
const stopTimeout = time.Minute

// interruption interrupts a command of setup at random moments.
type interruption struct {
	args   []string
	random *rand.Rand
	// limit is how long the command takes. It becomes shorter if the command ends earlier.
	limit time.Duration
}

// TestInterrupts_AreRepairedByUp first runs setup down --keep-cluster without an interrupt, and then interrupts setup up and setup down at
// random moments. After each, setup up must repair what is incomplete, so that a pod runs a new image.
func TestInterrupts_AreRepairedByUp(t *testing.T) {
	upAfterwards(t)
	random, rounds := newRandom(t), count(1, 16)
	down := []string{"down", "--cluster", clusterName, "--keep-cluster"}
	begin := time.Now()
	if !t.Run("setup down without an interrupt", func(t *testing.T) { wantDownKeeps(t, down...) }) {
		return
	}
	downs := interruption{args: down, random: random, limit: time.Since(begin)}
	ups := interruption{args: suite.upArgs(), random: random, limit: 8 * time.Second} // a guess, to save time in the short form
	if rounds > 1 {
		begin = time.Now()
		up(t)
		ups.limit = time.Since(begin)
		t.Logf("without an interrupt, setup down takes %.1f s, and setup up takes %.1f s", downs.limit.Seconds(), ups.limit.Seconds())
	}
	for round := range rounds {
		t.Run(fmt.Sprintf("setup up %d", round+1), func(t *testing.T) {
			ups.interrupt(t, &suite, func() { mustRun(t, &suite, down...) })
			wantRepaired(t, &suite, clusterName, fmt.Sprintf("up-interrupted-%d", round))
		})
		t.Run(fmt.Sprintf("setup down %d", round+1), func(t *testing.T) {
			downs.interrupt(t, &suite, func() { up(t) })
			wantRepaired(t, &suite, clusterName, fmt.Sprintf("down-interrupted-%d", round))
		})
	}
}

// TestInterrupts_OfCreationAndDeletionAreRepairedByUp is like TestInterrupts_AreRepairedByUp, for a cluster that setup up creates and
// setup down deletes.
func TestInterrupts_OfCreationAndDeletionAreRepairedByUp(t *testing.T) {
	needFull(t)
	before, other, random := snapshot(t), otherCluster(t, interruptedName), newRandom(t)
	create := []string{"--cluster", interruptedName, "--config", ""}
	down := []string{"down", "--cluster", interruptedName, "--yes"}
	ups := interruption{args: other.upArgs(create...), random: random, limit: time.Minute}
	downs := interruption{args: down, random: random, limit: 5 * time.Second}
	for round := range 4 {
		t.Run(fmt.Sprintf("setup up %d", round+1), func(t *testing.T) {
			ups.interrupt(t, &other, func() { mustRun(t, &other, down...) })
			wantRepaired(t, &other, interruptedName, fmt.Sprintf("creation-interrupted-%d", round), create...)
		})
		t.Run(fmt.Sprintf("setup down %d", round+1), func(t *testing.T) {
			downs.interrupt(t, &other, func() { mustRun(t, &other, other.upArgs(create...)...) })
			wantRepaired(t, &other, interruptedName, fmt.Sprintf("deletion-interrupted-%d", round), create...)
		})
	}
	mustRun(t, &other, down...)
	wantNothingLeft(t)
	if after := snapshot(t); after != before {
		t.Errorf("state of the first cluster =\n%s\nwant\n%s", after, before)
	}
}

// mustRun runs setup and fails the test if it fails.
func mustRun(t *testing.T, e *environment, args ...string) {
	t.Helper()
	if out, err := e.run(t.Context(), args...); err != nil {
		t.Fatalf("setup %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// interrupt runs the command until it is interrupted before it ends. Before each run, it calls prepare.
func (i *interruption) interrupt(t *testing.T, e *environment, prepare func()) {
	t.Helper()
	for range 10 {
		prepare()
		if i.once(t, e) {
			return
		}
	}
	t.Fatalf("setup %s ended 10 times before it was interrupted", strings.Join(i.args, " "))
}

// once runs the command and sends it SIGINT at a random moment. In half of the cases, the processes that setup has started get the signal,
// too, as when a user presses Ctrl-C. It reports whether the command was interrupted.
func (i *interruption) once(t *testing.T, e *environment) bool {
	t.Helper()
	moment, everybody := time.Duration(i.random.Int64N(int64(i.limit))), i.random.IntN(2) == 0
	var out bytes.Buffer
	cmd := exec.Command(e.setup, append(slices.Clone(i.args), "--kubeconfig", e.kubeconfig)...)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, &out, time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	target := cmd.Process.Pid
	if everybody {
		target = -target // the process group
	}
	timer := time.AfterFunc(moment, func() { _ = syscall.Kill(target, syscall.SIGINT) }) // fails if the command has ended
	defer timer.Stop()
	kill := time.AfterFunc(i.limit+stopTimeout, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	_ = cmd.Wait() // returns an error if setup was interrupted
	took, status := time.Since(begin), cmd.ProcessState.Sys().(syscall.WaitStatus)
	switch {
	case status.Signaled() && status.Signal() == syscall.SIGINT: // before setup has caught the signal
	case status.ExitStatus() == 130 && strings.Contains(out.String(), "setup: interrupted: "):
	case status.ExitStatus() == 0:
		i.limit = min(i.limit, took)
		return false
	default:
		t.Errorf("setup %s, interrupted after %s, ended with %v after %s, want exit status 130 and how to continue:\n%s",
			i.args[0], moment, cmd.ProcessState, took, out.String())
	}
	t.Logf("setup %s interrupted after %d ms (all its processes: %t); it ended %d ms later",
		i.args[0], moment.Milliseconds(), everybody, (took - moment).Milliseconds())
	return true
}

// wantRepaired runs setup up with the arguments. It fails the test unless everything is healthy then, and a pod runs a new image.
func wantRepaired(t *testing.T, e *environment, clusterName, pod string, args ...string) {
	t.Helper()
	begin := time.Now()
	if out, err := e.up(t.Context(), args...); err != nil {
		t.Fatalf("setup up: %v\n%s", err, out)
	}
	t.Logf("setup up took %.1f s", time.Since(begin).Seconds())
	mustRun(t, e, "status", "--cluster", clusterName)
	e.do(func() { wantRuns(t, pod) })
}

// wantRuns builds an image and fails the test unless a pod runs it, from the registry.
func wantRuns(t *testing.T, pod string) {
	t.Helper()
	image := loadImage(t, "e2e/"+pod+":local", 1)
	createPod(t, pod, namespace, podSpec(image))
	running := awaitRunning(t, pod, time.Minute)
	if !pinned(running, image) {
		t.Errorf("pod %s runs %s, want it from the registry, by digest", pod, running.Spec.Containers[0].Image)
	}
}
