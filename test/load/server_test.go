//go:build load

package load

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admission/v1"

	"kind-local-registry/config"
	"kind-local-registry/internal/pusher"
	"kind-local-registry/internal/rewrite"
	"kind-local-registry/internal/rules"
	"kind-local-registry/webhook"
	"kind-local-registry/webhook/endpoint"
	"kind-local-registry/webhook/lookup"
)

// serverVariable is the environment variable that makes the test binary run as the server.
const serverVariable = "LOAD_SERVER"

// token identifies the API server's requests.
const token = "some-token"

// parameters are the settings that the server reads from its standard input.
type parameters struct {
	// Pusher is the address of the pusher.
	Pusher string
	// Credentials are the pusher's credentials. The webhook presents the pusher's server certificate, too.
	Credentials pusher.Credentials
	// Plain selects newPlainHandler instead of the webhook.
	Plain bool
}

// serverMain runs the server and returns its exit status.
func serverMain() int {
	if err := serve(context.Background(), os.Stdin, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// serve serves the webhook until stdin ends. It prints its address to stdout and logs to stderr.
func serve(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) error {
	decoder := json.NewDecoder(stdin)
	var params parameters
	if err := decoder.Decode(&params); err != nil {
		return fmt.Errorf("reading the parameters: %w", err)
	}
	handler, err := newHandler(ctx, params, logr.FromSlogHandler(slog.NewJSONHandler(stderr, nil)))
	if err != nil {
		return err
	}
	certificate, err := tls.X509KeyPair(params.Credentials.ServerCert, params.Credentials.ServerKey)
	if err != nil {
		return fmt.Errorf("reading the serving certificate: %w", err)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	// controller-runtime's server has the same timeouts.
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 32 * time.Second, IdleTimeout: 90 * time.Second}
	go func() {
		_ = decoder.Decode(&params) // blocks until stdin ends
		_ = server.Close()
	}()
	if _, err := fmt.Fprintln(stdout, listener.Addr()); err != nil {
		return err
	}
	security := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate}}
	if err := server.Serve(tls.NewListener(listener, security)); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// newHandler returns the webhook's handler, which it assembles as webhook/app does.
func newHandler(ctx context.Context, params parameters, log logr.Logger) (http.Handler, error) {
	c := params.Credentials
	security, err := pusher.ClientTLS(c.CA, c.ClientCert, c.ClientKey)
	if err != nil {
		return nil, err
	}
	backend := pusher.NewClient(params.Pusher, security)
	if params.Plain {
		return newPlainHandler(backend), nil
	}
	counted := webhook.NewMetrics()
	lookups := lookup.NewCache(ctx, backend, counted.LookedUp)
	return endpoint.New(&webhook.Handler{
		Decider: &webhook.Decider{
			RegistryHost: config.RegistryHost(config.RegistryPort), Looker: lookups, Rules: rules.Default,
		},
		Journal: webhook.NewJournal(log),
		Log:     log,
		Metrics: counted,
		Guard:   webhook.NewLoopGuard(),
	}, func() string { return token }), nil
}

// newPlainHandler returns the handler for the baseline, which looks up one image and allows the pod unchanged.
func newPlainHandler(backend *pusher.Client) http.Handler {
	app, _ := rewrite.Parse("load/app:local") // a valid reference
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		if err == nil {
			_, err = backend.Lookup(r.Context(), app)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_ = json.NewEncoder(w).Encode(admissionv1.AdmissionReview{Response: &admissionv1.AdmissionResponse{UID: "any", Allowed: true}})
	})
}

// server is a running server process.
type server struct {
	pid    int
	url    string
	client *http.Client
}

// startWebhook starts the webhook with the pusher, in a separate process on one processor. The process stops when the test ends.
func startWebhook(t *testing.T, backend fakePusher) server {
	t.Helper()
	return start(t, parameters{Pusher: backend.address, Credentials: backend.credentials})
}

// startPlainServer is like startWebhook, with the plain handler instead of the webhook.
func startPlainServer(t *testing.T, backend fakePusher) server {
	t.Helper()
	return start(t, parameters{Pusher: backend.address, Credentials: backend.credentials, Plain: true})
}

func start(t *testing.T, params parameters) server {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0])
	command.Env = append(os.Environ(), serverVariable+"=1", "GOMAXPROCS=1", "GOMEMLIMIT=48MiB") // the chart sets the same memory limit
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Wait() }) // killed with the test's context
	if err := json.NewEncoder(stdin).Encode(params); err != nil {
		t.Fatal(err)
	}
	address, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("reading the server's address: %v", err)
	}
	return server{command.Process.Pid, "https://" + strings.TrimSpace(address) + webhook.Path + "/" + token, newClient(t, params.Credentials)}
}

// newClient returns a client like the API server's. It uses HTTP/1.1, up to 25 idle connections (k8s.io/client-go/transport), and
// the timeout in the chart's webhook configuration.
func newClient(t *testing.T, c pusher.Credentials) *http.Client {
	t.Helper()
	security, err := pusher.ClientTLS(c.CA, c.ClientCert, c.ClientKey)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: security, MaxIdleConnsPerHost: 25}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 5 * time.Second}
}

// peak returns the process's peak memory, VmHWM in proc_pid_status(5).
func (s server) peak(t *testing.T) size {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		value, found := strings.CutPrefix(line, "VmHWM:")
		if !found {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
		if err != nil {
			t.Fatalf("reading %q: %v", line, err)
		}
		return size(kib << 10)
	}
	t.Fatalf("no VmHWM in:\n%s", status)
	return 0
}
