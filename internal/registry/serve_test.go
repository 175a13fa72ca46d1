package registry_test

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"kind-local-registry/internal/registry"
)

func TestListenSocket_ReplacesOnlyStaleSockets(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "registry.sock")
	for range 2 { // the first leaves its socket behind, like a killed process
		listener, err := registry.ListenSocket(t.Context(), path)
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
	if _, err := registry.ListenSocket(t.Context(), file); err == nil {
		t.Error("ListenSocket on a file: no error")
	}
	if content, err := os.ReadFile(file); err != nil || string(content) != "content" { // #nosec G304 -- the test wrote this file
		t.Errorf("content of the file = %q (error %v), want it unchanged", content, err)
	}
}

func TestServe_FinishesRequestsWhenItsContextEnds(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("Listen: %v", err)
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		cancel()
		w.WriteHeader(http.StatusTeapot)
	})
	served := make(chan error)
	go func() { served <- registry.Serve(ctx, handler, listener) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+listener.Addr().String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatalf("request in progress: %v", err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusTeapot {
		t.Errorf("request in progress: status %d, want %d", response.StatusCode, http.StatusTeapot)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve = %v, want nil", err)
	}
}
