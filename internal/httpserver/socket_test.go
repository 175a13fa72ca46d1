package httpserver_test

import (
	"os"
	"path/filepath"
	"testing"

	"kind-local-registry/internal/httpserver"
)

func TestListenSocket_ReplacesOnlyStaleSockets(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "registry.sock")
	for range 2 { // the first leaves its socket behind, like a killed process
		listener, err := httpserver.ListenSocket(t.Context(), path)
		if err != nil {
			t.Fatalf("ListenSocket: %v", err)
		}
		if err := listener.Close(); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o666 {
		t.Errorf("mode of the socket = %s, want 0666", info.Mode().Perm())
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := httpserver.ListenSocket(t.Context(), file); err == nil {
		t.Error("ListenSocket on a file: no error")
	}
	if content, err := os.ReadFile(file); err != nil || string(content) != "content" { // #nosec G304 -- the test wrote this file
		t.Errorf("content of the file = %q (error %v), want it unchanged", content, err)
	}
}
