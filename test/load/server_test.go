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

// serverVariable is the environment variable that makes the test's program the server.
const serverVariable = "LOAD_SERVER"

// token makes the requests those of an API server.
const token = "some-token"

// order is what the server is told on its standard input.
type order struct {
	// Pusher is the address of the pusher.
	Pusher string
	// Credentials are for the pusher. The server's certificate in them is also the webhook's.
	Credentials pusher.Credentials
	// Plain says that the server is to answer as newPlainHandler's does, not as the webhook.
	Plain bool
}

// serverMain is the server's main.
func serverMain() int {
	if err := serve(context.Background(), os.Stdin, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// serve serves the webhook until stdin ends. It tells its address on stdout, and logs to stderr.
func serve(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) error {
	orders := json.NewDecoder(stdin)
	var told order
	if err := orders.Decode(&told); err != nil {
		return fmt.Errorf("reading what to do: %w", err)
	}
	handler, err := newHandler(ctx, told, logr.FromSlogHandler(slog.NewJSONHandler(stderr, nil)))
	if err != nil {
		return err
	}
	certificate, err := tls.X509KeyPair(told.Credentials.ServerCert, told.Credentials.ServerKey)
	if err != nil {
		return fmt.Errorf("reading the serving certificate: %w", err)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	// The times are those of controller-runtime's server.
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 32 * time.Second, IdleTimeout: 90 * time.Second}
	go func() {
		_ = orders.Decode(&told) // there is no second order: it returns when stdin ends
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

// newHandler returns the webhook as webhook/app puts it together, with the pusher behind it.
func newHandler(ctx context.Context, told order, log logr.Logger) (http.Handler, error) {
	c := told.Credentials
	security, err := pusher.ClientTLS(c.CA, c.ClientCert, c.ClientKey)
	if err != nil {
		return nil, err
	}
	behind := pusher.NewClient(told.Pusher, security)
	if told.Plain {
		return newPlainHandler(behind), nil
	}
	counted := webhook.NewMetrics()
	lookups := lookup.NewCache(ctx, behind, counted.LookedUp)
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

// newPlainHandler returns what nothing can answer faster than: it asks the pusher about one image, and allows the pod as
// it is. What it takes is the machine's doing.
func newPlainHandler(behind *pusher.Client) http.Handler {
	app, _ := rewrite.Parse("load/app:local") // a valid reference
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		if err == nil {
			_, err = behind.Lookup(r.Context(), app)
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

// startServer starts the webhook in a process on one processor. It asks that pusher and ends with the test.
func startServer(t *testing.T, behind fakePusher) server {
	t.Helper()
	return start(t, order{Pusher: behind.address, Credentials: behind.credentials})
}

// startPlainServer is startServer, with the plain handler in place of the webhook.
func startPlainServer(t *testing.T, behind fakePusher) server {
	t.Helper()
	return start(t, order{Pusher: behind.address, Credentials: behind.credentials, Plain: true})
}

func start(t *testing.T, told order) server {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0])
	command.Env = append(os.Environ(), serverVariable+"=1", "GOMAXPROCS=1", "GOMEMLIMIT=48MiB") // the limit is the chart's
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
	if err := json.NewEncoder(stdin).Encode(told); err != nil {
		t.Fatal(err)
	}
	address, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("the server has not started: %v", err)
	}
	return server{command.Process.Pid, "https://" + strings.TrimSpace(address) + webhook.Path + "/" + token, newClient(t, told.Credentials)}
}

// newClient returns a client that behaves as the API server's: HTTP/1.1, and up to 25 connections that wait for the next
// request (k8s.io/client-go/transport). It waits as long as the chart has the API server wait.
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

// peak returns the most memory that the process has had at a time: VmHWM of proc_pid_status(5).
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
