package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"kind-local-registry/internal/pusher"
)

// write writes client credentials as a mounted Secret has them.
func write(t *testing.T, directory string) {
	t.Helper()
	credentials, err := pusher.NewCredentials(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"ca.crt": credentials.CA, "tls.crt": credentials.ClientCert, "tls.key": credentials.ClientKey,
	} {
		if err := os.WriteFile(filepath.Join(directory, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRemotePusher_FailsUntilItsCertificateIsThere(t *testing.T) {
	t.Parallel()
	remote := &remotePusher{address: "localhost:1", directory: t.TempDir()}
	t.Cleanup(remote.Close)
	if _, err := remote.Lookup(t.Context(), "nginx"); err == nil {
		t.Error("Lookup without a certificate succeeds")
	}
	if _, err := remote.Push(t.Context(), "nginx"); err == nil {
		t.Error("Push without a certificate succeeds")
	}
	write(t, remote.directory)
	if _, err := remote.connect(); err != nil {
		t.Errorf("connect with a certificate: %v", err)
	}
}

func TestRemotePusher_TakesACertificateThatChanged(t *testing.T) {
	t.Parallel()
	remote := &remotePusher{address: "localhost:1", directory: t.TempDir()}
	t.Cleanup(remote.Close)
	connect := func() *pusher.Client {
		client, err := remote.connect()
		if err != nil {
			t.Fatal(err)
		}
		return client
	}
	write(t, remote.directory)
	first := connect()
	if connect() != first {
		t.Error("a second call has another client, want the same")
	}
	write(t, remote.directory)
	if connect() == first {
		t.Error("the client is the same after the certificate changed, want another")
	}
}
