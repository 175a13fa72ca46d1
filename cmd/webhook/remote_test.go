package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"kind-local-registry/internal/pusher"
	"kind-local-registry/internal/rewrite/rewritetest"
	"kind-local-registry/webhook"
)

// newCredentials makes credentials that are valid now.
func newCredentials(t *testing.T) pusher.Credentials {
	t.Helper()
	credentials, err := pusher.NewCredentials(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return credentials
}

// write writes client credentials as a mounted Secret has them.
func write(t *testing.T, directory string, credentials pusher.Credentials) {
	t.Helper()
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
	if _, err := remote.Lookup(t.Context(), rewritetest.Name(t, "nginx")); err == nil {
		t.Error("Lookup without a certificate succeeds")
	}
	if _, err := remote.Push(t.Context(), "nginx", nil); err == nil {
		t.Error("Push without a certificate succeeds")
	}
	write(t, remote.directory, newCredentials(t))
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
	write(t, remote.directory, newCredentials(t))
	first := connect()
	if connect() != first {
		t.Error("a second call has another client, want the same")
	}
	write(t, remote.directory, newCredentials(t))
	if connect() == first {
		t.Error("the client is the same after the certificate changed, want another")
	}
}

// rebuilding is a pusher whose image is another one at every push. A push begins with a value on begun, and ends with one
// on end.
type rebuilding struct{ begun, end chan struct{} }

// digest returns that of the nth push.
func (rebuilding) digest(n int) string { return fmt.Sprintf("sha256:%s%d", strings.Repeat("0", 63), n) }

// start starts the pusher, which ends with the test, and returns a client of it.
func (p rebuilding) start(t *testing.T) *remotePusher {
	t.Helper()
	credentials := newCredentials(t)
	security, err := pusher.ServerTLS(credentials.CA, credentials.ServerCert, credentials.ServerKey)
	if err != nil {
		t.Fatal(err)
	}
	pushes := make(chan int, 1)
	pushes <- 1
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := <-pushes
		pushes <- n + 1
		p.begun <- struct{}{}
		<-p.end
		_, _ = fmt.Fprintf(w, `{"result":{"digest":%q,"bytes":1000}}`, p.digest(n))
	}))
	server.TLS = security
	server.StartTLS()
	t.Cleanup(server.Close)
	remote := &remotePusher{address: server.Listener.Addr().String(), directory: t.TempDir()}
	write(t, remote.directory, credentials)
	t.Cleanup(remote.Close)
	return remote
}

func TestRemotePusher_SharesARequestAndStillGivesNobodyAnOldImage(t *testing.T) {
	t.Parallel()
	behind := rebuilding{begun: make(chan struct{}), end: make(chan struct{})}
	remote := behind.start(t)
	var pushing sync.WaitGroup
	joins := make(chan struct{})
	push := func(want string) {
		progress := func(now webhook.Progress) {
			if now == (webhook.Progress{}) {
				go func() { joins <- struct{}{} }()
			}
		}
		if digest, err := remote.Push(t.Context(), "a/b:1", progress); err != nil || digest != want {
			t.Errorf("Push = %q, %v, want %q", digest, err, want)
		}
	}
	await := func(joined int) {
		for range joined {
			<-joins
		}
	}
	pushing.Go(func() { push(behind.digest(1)) })
	await(1)
	<-behind.begun // before the others come
	const others = 200
	for range others {
		pushing.Go(func() { push(behind.digest(2)) })
	}
	await(others)
	behind.end <- struct{}{}
	<-behind.begun
	await(others)
	behind.end <- struct{}{}
	pushing.Wait()
}
