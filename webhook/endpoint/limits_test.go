package endpoint_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"

	"kind-local-registry/webhook"
	"kind-local-registry/webhook/webhooktest"
)

const (
	// plainPod is a pod whose image is in the registry. volumePod also has an image volume whose image is only on the host.
	plainPod  = `{"spec":{"containers":[{"name":"a","image":"registry/x"}]}}`
	volumePod = `{"spec":{"containers":[{"name":"a","image":"registry/x"}],"volumes":[{"name":"v","image":{"reference":"host/big:1"}}]}}`
)

// hold connects to the server and begins a request without sending its body. When hold returns, the server is waiting for the
// body.
func hold(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	_, err = io.WriteString(conn, "POST "+knownPath+" HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("the server is not waiting for the body: %q, %v", line, err)
	}
	return conn
}

func TestServeHTTP_GivesNoSlotToAnUnsentBody(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(newServer(webhooktest.NewHandler(t, logr.Discard())))
	t.Cleanup(server.Close)
	var held []net.Conn
	for range 16 {
		held = append(held, hold(t, server.Listener.Addr().String()))
	}
	client := server.Client()
	client.Timeout = 5 * time.Second // the chart's timeout
	answer, err := client.Post(server.URL+knownPath, "application/json", strings.NewReader(webhooktest.Document(plainPod)))
	if err != nil {
		t.Fatalf("a request beside the unsent bodies: %v", err)
	}
	_ = answer.Body.Close()
	for _, conn := range held {
		if _, err := io.Copy(io.Discard, conn); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Errorf("the server is still waiting for a body that does not arrive: %v", err)
		}
	}
}

func TestServeHTTP_WaitsForAnswersLongerThanForBodies(t *testing.T) {
	t.Parallel()
	h := webhooktest.NewHandler(t, logr.Discard())
	h.Pushes = webhook.NewPushes(t.Context(), &webhooktest.SlowPusher{Takes: time.Minute}, time.Minute, h.Log)
	server := httptest.NewServer(newServer(h))
	t.Cleanup(server.Close)
	answer, err := server.Client().Post(server.URL+knownPath, "application/json", strings.NewReader(webhooktest.Document(volumePod)))
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if err != nil || len(webhooktest.Response(t, content).Patch) == 0 {
		t.Errorf("answered %s: %s, %v, want a patch", answer.Status, content, err)
	}
}

func TestServeHTTP_FreesSlotsDuringPushes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := webhooktest.NewHandler(t, logr.Discard())
		h.Pushes = webhook.NewPushes(t.Context(), &webhooktest.SlowPusher{Takes: time.Minute}, time.Minute, h.Log)
		server := newServer(h)
		start := time.Now()
		var sending sync.WaitGroup
		waited := make(chan time.Duration, 64)
		for range cap(waited) {
			sending.Go(func() {
				if got := webhooktest.Response(t, post(server, knownPath, webhooktest.Document(volumePod)).Body.Bytes()); !strings.Contains(string(got.Patch), "localhost:5001/host/big:1") {
					t.Errorf("patch %s, want the tag form", got.Patch)
				}
				waited <- time.Since(start)
			})
		}
		synctest.Wait()
		webhooktest.Response(t, post(server, knownPath, webhooktest.Document(plainPod)).Body.Bytes())
		if took := time.Since(start); took > 0 {
			t.Errorf("a pod without a push waited %s for other pods' pushes", took)
		}
		sending.Wait()
		close(waited)
		long := 0
		for took := range waited {
			if took > 0 {
				long++
			}
		}
		if long != 16 {
			t.Errorf("%d pods waited for a push, want 16, and no wait for the others", long)
		}
	})
}

func TestServeHTTP_RefusesLargerBodiesOfStrangers(t *testing.T) {
	t.Parallel()
	server := newServer(webhooktest.NewHandler(t, logr.Discard()))
	large := webhooktest.Document(`"` + strings.Repeat("x", 2<<20) + `"`)
	if got := post(server, "/pods", large).Code; got != http.StatusRequestEntityTooLarge {
		t.Errorf("2 MiB from a stranger: status %d, want %d", got, http.StatusRequestEntityTooLarge)
	}
	if got := post(server, knownPath, large).Code; got != http.StatusOK {
		t.Errorf("2 MiB from the API server: status %d, want %d", got, http.StatusOK)
	}
	unknown := strangers(t, large)
	unknown.ContentLength = -1
	if got := record(server, unknown).Code; got != http.StatusRequestEntityTooLarge {
		t.Errorf("2 MiB from a stranger, in chunks: status %d, want %d", got, http.StatusRequestEntityTooLarge)
	}
}
