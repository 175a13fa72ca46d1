package pusher

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

	"kind-local-registry/internal/push"
	"kind-local-registry/internal/rewrite/rewritetest"
)

// newValidCredentials generates credentials that are valid now.
func newValidCredentials(t *testing.T) Credentials {
	t.Helper()
	credentials, err := NewCredentials(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return credentials
}

// writeSecret writes client credentials to the files of a mounted Secret.
func writeSecret(t *testing.T, directory string, credentials Credentials) {
	t.Helper()
	for name, content := range map[string][]byte{
		"ca.crt": credentials.CA, "tls.crt": credentials.ClientCert, "tls.key": credentials.ClientKey,
	} {
		if err := os.WriteFile(filepath.Join(directory, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReloadingClient_FailsUntilItsCertificateIsMounted(t *testing.T) {
	t.Parallel()
	client := NewReloadingClient("localhost:1", t.TempDir())
	t.Cleanup(client.Close)
	if _, err := client.Lookup(t.Context(), rewritetest.Name(t, "nginx")); err == nil {
		t.Error("Lookup without a certificate succeeds")
	}
	if _, err := client.Deliver(t.Context(), "nginx", nil); err == nil {
		t.Error("Push without a certificate succeeds")
	}
	writeSecret(t, client.directory, newValidCredentials(t))
	if _, err := client.connect(); err != nil {
		t.Errorf("connect with a certificate: %v", err)
	}
}

func TestReloadingClient_UsesAChangedCertificate(t *testing.T) {
	t.Parallel()
	client := NewReloadingClient("localhost:1", t.TempDir())
	t.Cleanup(client.Close)
	connect := func() *Client {
		connected, err := client.connect()
		if err != nil {
			t.Fatal(err)
		}
		return connected
	}
	writeSecret(t, client.directory, newValidCredentials(t))
	first := connect()
	if connect() != first {
		t.Error("the second call returned another client, want the same")
	}
	writeSecret(t, client.directory, newValidCredentials(t))
	if connect() == first {
		t.Error("the client is the same after a change of the certificate, want another")
	}
}

// rebuilding is a pusher that pushes a different image each time, as if the image had been rebuilt. A push sends a value to
// begun, and returns after it has received a value from end.
type rebuilding struct{ begun, end chan struct{} }

// digest returns the digest of the image in the nth push.
func (rebuilding) digest(n int) string { return fmt.Sprintf("sha256:%s%d", strings.Repeat("0", 63), n) }

// start starts the pusher and returns a client for it. The pusher stops when the test ends.
func (p rebuilding) start(t *testing.T) *ReloadingClient {
	t.Helper()
	credentials := newValidCredentials(t)
	security, err := ServerTLS(credentials.CA, credentials.ServerCert, credentials.ServerKey)
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
	client := NewReloadingClient(server.Listener.Addr().String(), t.TempDir())
	writeSecret(t, client.directory, credentials)
	t.Cleanup(client.Close)
	return client
}

func TestReloadingClient_SharesRequestsButReturnsNoOlderImage(t *testing.T) {
	t.Parallel()
	behind := rebuilding{begun: make(chan struct{}), end: make(chan struct{})}
	client := behind.start(t)
	var pushing sync.WaitGroup
	joins := make(chan struct{})
	pushOne := func(want string) {
		progress := func(now push.Progress) {
			if now == (push.Progress{}) {
				go func() { joins <- struct{}{} }()
			}
		}
		if result, err := client.Deliver(t.Context(), "a/b:1", progress); err != nil || result.Digest.String() != want {
			t.Errorf("Push = %q, %v, want %q", result.Digest, err, want)
		}
	}
	await := func(joined int) {
		for range joined {
			<-joins
		}
	}
	pushing.Go(func() { pushOne(behind.digest(1)) })
	await(1)
	<-behind.begun // the other callers must join only after the push has begun
	const others = 200
	for range others {
		pushing.Go(func() { pushOne(behind.digest(2)) })
	}
	await(others)
	behind.end <- struct{}{}
	<-behind.begun
	await(others)
	behind.end <- struct{}{}
	pushing.Wait()
}
