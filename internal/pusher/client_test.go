package pusher_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"kind-local-registry/internal/pusher"
	"kind-local-registry/internal/rewrite"
	"kind-local-registry/internal/rewrite/rewritetest"
)

// startFake starts a server with the given handler and returns a client for the server. The server stops when the test ends.
func startFake(t *testing.T, handler http.HandlerFunc) *pusher.Client {
	t.Helper()
	credentials := newCredentials(t)
	security, err := pusher.ServerTLS(credentials.CA, credentials.ServerCert, credentials.ServerKey)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handler)
	server.TLS = security
	server.StartTLS()
	t.Cleanup(server.Close)
	own, err := pusher.ClientTLS(credentials.CA, credentials.ClientCert, credentials.ClientKey)
	if err != nil {
		t.Fatal(err)
	}
	return newClient(t, server.Listener.Addr().String(), own)
}

// found responds to a lookup with an image that is on the host.
func found(w http.ResponseWriter) { _ = json.NewEncoder(w).Encode(rewrite.Presence{OnHost: true}) }

func TestClient_LimitsConcurrentLookups(t *testing.T) {
	t.Parallel()
	const most = 64
	var mu sync.Mutex
	now, surplus := 0, make(chan struct{})
	client := startFake(t, func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		if now++; now == most+1 {
			close(surplus)
		}
		mu.Unlock()
		select { // one more lookup may arrive in this time
		case <-surplus:
		case <-time.After(500 * time.Millisecond):
		}
		mu.Lock()
		now--
		mu.Unlock()
		found(w)
	})
	var asking sync.WaitGroup
	for i := range 2 * most {
		asking.Go(func() {
			if _, err := client.Lookup(t.Context(), rewritetest.Name(t, fmt.Sprintf("a/b:%d", i))); err != nil {
				t.Errorf("Lookup = %v", err)
			}
		})
	}
	asking.Wait()
	select {
	case <-surplus:
		t.Errorf("more than %d lookups were sent concurrently", most)
	default:
	}
}

func TestClient_LooksUpDuringManyPushes(t *testing.T) {
	t.Parallel()
	const pushes = 100 // more than the limit of lookups
	begun := make(chan struct{})
	client := startFake(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			found(w)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body) // without this read, the server does not notice that the client disconnects
		select {
		case begun <- struct{}{}:
		case <-r.Context().Done():
		}
		<-r.Context().Done()
	})
	for i := range pushes {
		go func() {
			for t.Context().Err() == nil { // on a busy machine, a TLS handshake may time out
				_, _ = client.Push(t.Context(), fmt.Sprintf("a/b:%d", i), nil)
			}
		}()
	}
	for range pushes {
		<-begun
	}
	if _, err := client.Lookup(t.Context(), rewritetest.Name(t, "a/b:1")); err != nil {
		t.Errorf("Lookup during %d pushes: %v", pushes, err)
	}
}
