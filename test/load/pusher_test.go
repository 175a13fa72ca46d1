//go:build load

package load

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"kind-local-registry/internal/pusher"
	"kind-local-registry/internal/rewrite"
)

// fakePusher is a pusher that answers only lookups.
type fakePusher struct {
	address     string
	credentials pusher.Credentials
}

// startPusher starts a pusher whose lookups the handler answers. The pusher stops when the test ends.
func startPusher(t *testing.T, handler http.HandlerFunc) fakePusher {
	t.Helper()
	credentials, err := pusher.NewCredentials(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	security, err := pusher.ServerTLS(credentials.CA, credentials.ServerCert, credentials.ServerKey)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handler)
	server.TLS = security
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // the webhook is killed during its calls
	server.StartTLS()
	t.Cleanup(server.Close)
	return fakePusher{server.Listener.Addr().String(), credentials}
}

// answer waits for one millisecond and reports the image as present in the registry.
func answer(w http.ResponseWriter, _ *http.Request) {
	time.Sleep(time.Millisecond)
	digest := "sha256:" + strings.Repeat("0", 64)
	_ = json.NewEncoder(w).Encode(rewrite.Presence{OnHost: true, ImageID: digest, Digest: digest, Served: digest})
}

// hang never answers a request.
func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
