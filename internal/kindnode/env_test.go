package kindnode_test

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/moby/moby/api/types/container"

	"kind-local-registry/internal/host/engine/enginetest"
	"kind-local-registry/internal/kindnode"
)

const hostsFile = "/etc/containerd/certs.d/localhost:5001/hosts.toml"

// newClient returns a client of the daemon.
func newClient(t *testing.T, daemon *enginetest.Daemon) *kindnode.Client {
	t.Helper()
	client, err := kindnode.New(daemon.Host(), "localhost:5001")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// addNode adds a running node to the daemon. It runs scripts with this machine's sh. programs are the scripts behind the programs
// that the node has, such as crictl.
func addNode(t *testing.T, daemon *enginetest.Daemon, cluster, name, role string, programs map[string]string) *enginetest.Container {
	t.Helper()
	directory := t.TempDir()
	for program, script := range programs {
		if err := os.WriteFile(filepath.Join(directory, program), []byte("#!/bin/sh\n"+script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	added := daemon.AddContainer(name, map[string]string{"io.x-k8s.kind.cluster": cluster, "io.x-k8s.kind.role": role})
	added.Files[hostsFile] = []byte("server = ...")
	added.Exec = func(command []string, stdout, stderr io.Writer) int {
		run := exec.CommandContext(t.Context(), command[0], command[1:]...)
		run.Env = []string{"PATH=" + directory + ":" + os.Getenv("PATH"), "STATE=" + directory}
		run.Stdout, run.Stderr = stdout, stderr
		err := run.Run()
		if exit := new(exec.ExitError); errors.As(err, &exit) {
			return exit.ExitCode()
		}
		if err != nil {
			t.Errorf("running %q: %v", command, err)
		}
		return 0
	}
	return added
}

// stop stops a node.
func stop(node *enginetest.Container) {
	node.State = &container.State{Status: container.StateExited}
}
