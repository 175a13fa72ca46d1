package main

import (
	"context"
	"errors"
	"flag"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"go.uber.org/goleak"

	"kind-local-registry/internal/host/engine/enginetest"
	"kind-local-registry/internal/link/linkapi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// awaitListener waits until run listens on the socket, and fails the test if run ends before that.
func awaitListener(t *testing.T, socket string, ended <-chan error) {
	t.Helper()
	for {
		connection, err := new(net.Dialer).DialContext(t.Context(), "unix", socket)
		if err == nil {
			_ = connection.Close()
			return
		}
		select {
		case ended := <-ended:
			t.Fatalf("run = %v before it listened (%v)", ended, err)
		case <-time.After(time.Millisecond):
		}
	}
}

func TestRun_ServesOnSocketAndRemembersBrokenLayers(t *testing.T) {
	t.Parallel()
	daemon := enginetest.New(t)
	socket := filepath.Join(t.TempDir(), "linker.sock")
	layers := []digest.Digest{digest.FromString("a")}
	for _, want := range []linkapi.Reason{linkapi.LayerMissing, linkapi.Broken} { // before and after a restart
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- run(ctx, []string{"--socket", socket, "--docker-host", daemon.Host()}, t.Output()) }()
		awaitListener(t, socket, ended)
		client := linkapi.NewClient(socket)
		if nodes, err := client.Nodes(t.Context()); err != nil || len(nodes) != 0 {
			t.Errorf("Nodes = %+v, %v, want none", nodes, err)
		}
		if got, err := client.Check(t.Context(), layers); err != nil || got.Unlinkable != want {
			t.Errorf("Check = %+v, %v, want %s", got, err, want)
		}
		if err := client.Break(t.Context(), layers); err != nil {
			t.Errorf("Break: %v", err)
		}
		client.Close()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run = %v after its context ended, want nil", err)
		}
	}
}

func TestRun_RefusesInvalidFlags(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	file := filepath.Join(directory, "file")
	if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Mkdir(filepath.Join(directory, "x.broken"), 0o700)); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--help"}, flag.ErrHelp.Error()},
		{[]string{"--unknown"}, "flag provided but not defined"},
		{[]string{"--docker-host", "nowhere"}, "configuring the Docker client for nowhere"},
		{[]string{"--socket", file}, "listening on socket " + file},
		{[]string{"--socket", filepath.Join(directory, "missing/socket")}, "no such file or directory"},
		{[]string{"--socket", filepath.Join(directory, "x")}, "reading broken layers"},
	} {
		if err := run(t.Context(), test.args, t.Output()); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("run(%q) = %v, want %q", test.args, err, test.want)
		}
	}
}
