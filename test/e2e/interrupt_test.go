//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// interruptedName is the name of a second cluster, whose creation the tests interrupt.
const interruptedName = "e2e-interrupted"

// createInterrupted contains the arguments with which setup creates the second cluster. A kubeadm patch in the kind configuration replaces
// the label with which setup marks its clusters.
func (e *environment) createInterrupted() []string {
	return []string{"up", "--cluster", interruptedName, "--config", "testdata/labels.yaml", "--node-image", e.nodeImage}
}

// startCreating starts setup up for the second cluster, and waits until the cluster has a running node.
func (e *environment) startCreating(t *testing.T) (setup *exec.Cmd, stderr *bytes.Buffer) {
	t.Helper()
	stderr = &bytes.Buffer{}
	setup = exec.Command(e.setup, append(e.createInterrupted(), "--kubeconfig", e.kubeconfig)...)
	setup.Stderr = stderr
	if err := setup.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "the second cluster has a node", func(ctx context.Context) string {
		if out, err := exec.CommandContext(ctx, "docker", "ps", "-q", "--filter", nodesFilter).Output(); err != nil || len(out) == 0 {
			return "no node yet"
		}
		return ""
	})
	return setup, stderr
}

// nodesFilter selects the second cluster's containers.
const nodesFilter = "label=io.x-k8s.kind.cluster=" + interruptedName

// wantNothingLeft fails the test if the second cluster has left anything in Docker.
func wantNothingLeft(t *testing.T) {
	t.Helper()
	if left := docker(t, "ps", "-a", "--format", "{{.Names}}", "--filter", nodesFilter); left != "" {
		t.Errorf("nodes left: %s, want none", left)
	}
	if left := docker(t, "volume", "ls", "-q", "--filter", "name="+ours+"-creating"); left != "" {
		t.Errorf("volumes left: %s, want none", left)
	}
}

func TestUp_InterruptedWhileCreatingDeletesTheCluster(t *testing.T) {
	second := otherCluster(t, interruptedName)
	for status, signal := range map[int]os.Signal{130: os.Interrupt, 143: syscall.SIGTERM} {
		setup, stderr := second.startCreating(t)
		if err := setup.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		_ = setup.Wait() // returns an error, because setup was interrupted
		if got := setup.ProcessState.ExitCode(); got != status {
			t.Errorf("exit status after %s = %d, want %d", signal, got, status)
		}
		if !strings.Contains(stderr.String(), "setup: interrupted: run `setup up` again") {
			t.Errorf("stderr after %s = %q, want how to continue", signal, stderr.String())
		}
		wantNothingLeft(t)
	}
}

// TestUp_FinishesACreationThatWasKilled kills setup up while it creates a cluster. The next setup up must finish the creation, and know
// that setup has created the cluster. setup down must delete it, and keep what the first cluster uses.
func TestUp_FinishesACreationThatWasKilled(t *testing.T) {
	t.Parallel()
	before, second := snapshot(t), otherCluster(t, interruptedName)
	setup, _ := second.startCreating(t)
	if err := setup.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = setup.Wait() // returns an error, because setup was killed
	down := func(ctx context.Context) (out string) {
		out, err := second.run(ctx, "down", "--cluster", interruptedName, "--yes")
		if err != nil {
			t.Errorf("setup down: %v\n%s", err, out)
		}
		return out
	}
	t.Cleanup(func() { down(context.Background()) }) // also if the test fails
	out, err := second.run(t.Context(), "status", "--cluster", interruptedName)
	if err == nil || !strings.Contains(out, "setup was interrupted while it created kind cluster "+interruptedName) {
		t.Errorf("setup status = %v, want that the creation was interrupted:\n%s", err, out)
	}
	mustRun(t, &second, second.createInterrupted()...)
	mustRun(t, &second, "status", "--cluster", interruptedName)
	wantKnown(t, &second)
	if out, want := down(t.Context()), "kept: it serves kind cluster "+clusterName+" too"; !strings.Contains(out, want) {
		t.Errorf("setup down prints\n%s\nwant %q", out, want)
	}
	wantNothingLeft(t)
	if got := clusters(t); !slices.Equal(got, []string{clusterName}) {
		t.Errorf("kind clusters after setup down = %q, want only %s", got, clusterName)
	}
	if after := snapshot(t); after != before {
		t.Errorf("state of the first cluster =\n%s\nwant\n%s", after, before)
	}
}

// wantKnown fails the test unless setup knows that it has created the cluster, although the kubeadm patch has replaced its label, and has
// nothing to change.
func wantKnown(t *testing.T, e *environment) {
	t.Helper()
	labels := command(t, "kubectl", "--kubeconfig", e.kubeconfig, "get", "nodes", "--show-labels")
	if !strings.Contains(labels, "ingress-ready=true") {
		t.Fatalf("the patch did not set the node's labels:\n%s", labels)
	}
	out, err := e.run(t.Context(), "up", "--cluster", interruptedName)
	if err != nil || !strings.Contains(out, "created by setup") || !strings.Contains(out, "Nothing to change") {
		t.Errorf("a second setup up: %v, want \"created by setup\" and \"Nothing to change\":\n%s", err, out)
	}
}
