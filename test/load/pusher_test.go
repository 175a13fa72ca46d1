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

// fakePusher is a pusher that knows every image, as far as look-ups go.
type fakePusher struct {
	address     string
	credentials pusher.Credentials
}

// startPusher starts a pusher with that answer to look-ups, which ends with the test.
func startPusher(t *testing.T, answer http.HandlerFunc) fakePusher {
	t.Helper()
	credentials, err := pusher.NewCredentials(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	security, err := pusher.ServerTLS(credentials.CA, credentials.ServerCert, credentials.ServerKey)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(answer)
	server.TLS = security
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // the server process is killed amid its calls
	server.StartTLS()
	t.Cleanup(server.Close)
	return fakePusher{server.Listener.Addr().String(), credentials}
}

// answering has the registry hold the image, and takes a millisecond to say so.
func answering(w http.ResponseWriter, _ *http.Request) {
	time.Sleep(time.Millisecond)
	digest := "sha256:" + strings.Repeat("0", 64)
	_ = json.NewEncoder(w).Encode(rewrite.Presence{OnHost: true, ImageID: digest, Digest: digest, Served: digest})
}

// hanging gives no answer.
func hanging(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
