package link

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"

	"kind-local-registry/internal/httpserver"
	"kind-local-registry/internal/link/linkapi"
)

// served is a server on a Unix socket.
type served struct {
	*env

	server *Server
	socket string
	client *linkapi.Client
	stop   func() string // ends the server and returns its log
}

// serve serves the linker until the test ends.
func serve(t *testing.T, e *env) served {
	t.Helper()
	socket := filepath.Join(e.proc, "linker.sock")
	listener, err := httpserver.ListenSocket(t.Context(), socket)
	must(t, err)
	var log bytes.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	s := served{
		env: e, server: NewServer(e.linker, slog.New(slog.NewJSONHandler(&log, nil))),
		socket: socket, client: linkapi.NewClient(socket),
	}
	go func() { ended <- s.server.Serve(ctx, listener) }()
	var once sync.Once
	s.stop = func() string {
		once.Do(func() {
			s.client.Close()
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("Serve = %v, want nil", err)
			}
		})
		return log.String()
	}
	t.Cleanup(func() { s.stop() })
	return s
}

// send sends a request, and returns the status code and the body of the response.
func (s served) send(t *testing.T, method, path, body string) (int, string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", s.socket)
		},
	}}
	request, err := http.NewRequestWithContext(t.Context(), method, "http://linker"+path, strings.NewReader(body))
	must(t, err)
	response, err := client.Do(request)
	must(t, err)
	text, err := io.ReadAll(response.Body)
	must(t, errors.Join(err, response.Body.Close()))
	return response.StatusCode, string(text)
}

// wantMetrics fails the test unless the server's metrics have these lines.
func (s served) wantMetrics(t *testing.T, want ...string) {
	t.Helper()
	recorder := httptest.NewRecorder()
	s.server.handler().ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	for _, line := range want {
		if !strings.Contains(recorder.Body.String(), "\nkind_local_registry_"+line+"\n") {
			t.Errorf("metrics have no line %q:\n%s", line, recorder.Body)
		}
	}
}

func TestServer_LinksLayersForClient(t *testing.T) {
	t.Parallel()
	s := serve(t, newEnv(t))
	node := s.addNode(t, 2)
	diffIDs, chains := s.image(t, "a", "b")
	for _, want := range []linkapi.Result{
		{Node: node.name, Layers: 2, Linked: 2, Files: 2 * filesPerLayer},
		{Node: node.name, Layers: 2, Present: 2},
	} {
		got, err := s.client.Link(t.Context(), node.address, diffIDs)
		if err != nil || got != want {
			t.Errorf("Link = %+v, %v, want %+v", got, err, want)
		}
	}
	wantSnapshots(t, node, chains...)
	s.wantMetrics(t,
		`link_requests_total{outcome="Linked"} 1`, `link_requests_total{outcome="Present"} 1`,
		`link_requests_total{outcome="Failed"} 0`, `link_requests_total{outcome="Late"} 0`,
		`linked_layers_total 2`, `link_duration_seconds_count 1`)
	log := s.stop()
	if strings.Count(log, "\n") != 1 || !strings.Contains(log, `"msg":"layers linked","node":"kind-worker2","address":"172.18.0.2","layers":2,"linked":2,"files":6`) {
		t.Errorf("log = %s, want one line about the layers that were linked", log)
	}
}

func TestServer_ReturnsErrorWithResult(t *testing.T) {
	t.Parallel()
	s := serve(t, newEnv(t))
	node := s.addNode(t, 2)
	diffIDs, chains := s.image(t, "a", "b", "c")
	must(t, s.remove(chains[1]))
	got, err := s.client.Link(t.Context(), node.address, diffIDs)
	want := linkapi.Result{Node: node.name, Layers: 3, Linked: 1, Files: filesPerLayer}
	if err == nil || !strings.Contains(err.Error(), "layer 2 of 3") || got != want || got.Complete() {
		t.Errorf("Link = %+v, %v, want %+v and the error of layer 2", got, err, want)
	}
	if _, err := s.client.Link(t.Context(), "172.18.0.99", diffIDs); err == nil || !strings.Contains(err.Error(), ErrNoNode.Error()) {
		t.Errorf("Link to another address = %v, want %v", err, ErrNoNode)
	}
	s.wantMetrics(t, `link_requests_total{outcome="Failed"} 2`, `linked_layers_total 1`, `link_duration_seconds_count 0`)
	if log := s.stop(); strings.Count(log, `"msg":"layers not linked, the node pulls them"`) != 2 {
		t.Errorf("log = %s, want a line for each failure", log)
	}
}

func TestServer_CountsClientsThatLeave(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"Stat", "Create", "Prepare"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			s := serve(t, newEnv(t))
			node := s.addNode(t, 2)
			diffIDs, _ := s.image(t, "a")
			ctx, leave := context.WithCancel(t.Context())
			node.onRequest(func(ctx context.Context, called string) error {
				if called == method {
					leave()
					<-ctx.Done()
				}
				return ctx.Err()
			})
			if _, err := s.client.Link(ctx, node.address, diffIDs); !errors.Is(err, context.Canceled) {
				t.Errorf("Link = %v, want %v", err, context.Canceled)
			}
			s.stop() // waits for the request
			s.wantMetrics(t, `link_requests_total{outcome="Late"} 1`, `link_requests_total{outcome="Failed"} 0`)
		})
	}
}

func TestServer_RefusesInvalidRequests(t *testing.T) {
	t.Parallel()
	s := serve(t, newEnv(t))
	diffID := digest.FromString("a").String()
	for _, path := range []string{linkapi.LinkPath, linkapi.CheckPath, linkapi.PrelinkPath, linkapi.BreakPath, linkapi.PresentPath} {
		for what, body := range map[string]string{
			"no body":                 "",
			"no JSON":                 "layers",
			"a short digest":          `{"layers":["sha256:abc"]}`,
			"a digest that is a path": `{"layers":["` + diffID + `","sha256:../../../../etc"]}`,
			"an unknown algorithm":    `{"layers":["md5:` + diffID[7:39] + `"]}`,
			"an empty digest":         `{"layers":[""]}`,
			"layers of another type":  `{"layers":"` + diffID + `"}`,
			"a large body":            `{"layers":[` + strings.Repeat(`"`+diffID+`",`, linkapi.MaxRequest/70) + `"` + diffID + `"]}`,
		} {
			if code, text := s.send(t, http.MethodPost, path, body); code != http.StatusBadRequest || !strings.HasPrefix(text, "reading the request: ") {
				t.Errorf("POST %s with %s = %d %q, want 400 and a reason", path, what, code, text)
			}
		}
		if code, _ := s.send(t, http.MethodGet, path, ""); code != http.StatusMethodNotAllowed {
			t.Errorf("GET %s = %d, want %d", path, code, http.StatusMethodNotAllowed)
		}
	}
	_, err := s.client.Link(t.Context(), "172.18.0.2", []digest.Digest{"sha256:abc"})
	if err == nil || !strings.Contains(err.Error(), "400 Bad Request: reading the request: layer") {
		t.Errorf("Link of an invalid layer = %v, want 400 and the reason", err)
	}
}

func TestServer_BreaksAndChecksLayers(t *testing.T) {
	t.Parallel()
	s := serve(t, newEnv(t))
	node := s.addNode(t, 2)
	diffIDs, _ := s.image(t, "a", "b")
	if got, err := s.client.Check(t.Context(), diffIDs); err != nil || got != (linkapi.State{}) {
		t.Errorf("Check = %+v, %v, want no reason", got, err)
	}
	if err := s.client.Break(t.Context(), diffIDs); err != nil {
		t.Errorf("Break: %v", err)
	}
	if got, err := s.client.Check(t.Context(), diffIDs); err != nil || got.Unlinkable != linkapi.Broken || got.Detail == "" {
		t.Errorf("Check of broken layers = %+v, %v, want %s", got, err, linkapi.Broken)
	}
	if got, err := s.client.Link(t.Context(), node.address, diffIDs); err == nil || !strings.Contains(err.Error(), errBroken.Error()) {
		t.Errorf("Link of broken layers = %+v, %v, want %v", got, err, errBroken)
	}
	wantSnapshots(t, node)
}

func TestServer_RemovesBrokenLayersFromNodes(t *testing.T) {
	t.Parallel()
	s := serve(t, newEnv(t))
	node := s.addNode(t, 2)
	diffIDs, chains := s.image(t, "a", "b")
	if _, err := s.client.Link(t.Context(), node.address, diffIDs); err != nil {
		t.Fatalf("Link: %v", err)
	}
	if err := s.client.Break(t.Context(), diffIDs); err != nil {
		t.Fatalf("Break: %v", err)
	}
	s.server.background.Wait() // the response does not wait for the nodes
	wantSnapshots(t, node, chains[0])
}

func TestServer_ReportsNodes(t *testing.T) {
	t.Parallel()
	s := serve(t, newEnv(t))
	got, err := s.client.Nodes(t.Context())
	if err != nil || len(got) != 0 {
		t.Errorf("Nodes = %+v, %v, want none", got, err)
	}
	s.linker.nodes.forget()
	s.addNode(t, 2).refuse("List", codes.Unavailable)
	want := []linkapi.Node{{Name: "kind-worker2", Cluster: "kind", State: linkapi.State{Unlinkable: linkapi.NodeUnreachable}}}
	got, err = s.client.Nodes(t.Context())
	for i := range got {
		got[i].Detail = ""
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("Nodes: error %v, (-want +got):\n%s", err, diff)
	}
	s.linker.nodes.forget()
	s.daemon.Refuse = func(string, string, []byte) (int, string) { return 500, "refused by the test" }
	if got, err := s.client.Nodes(t.Context()); err == nil || !strings.Contains(err.Error(), "502 Bad Gateway: listing the kind nodes") {
		t.Errorf("Nodes without a daemon = %+v, %v, want 502 and the reason", got, err)
	}
}

func TestClient_FailsImmediatelyWithoutLinker(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	stale := filepath.Join(directory, "stale.sock")
	listener, err := httpserver.ListenSocket(t.Context(), stale)
	must(t, err)
	must(t, listener.Close())
	for socket, want := range map[string]error{stale: unix.ECONNREFUSED, filepath.Join(directory, "none.sock"): unix.ENOENT} {
		client := linkapi.NewClient(socket)
		_, linkErr := client.Link(t.Context(), "172.18.0.2", nil)
		_, checkErr := client.Check(t.Context(), nil)
		_, nodesErr := client.Nodes(t.Context())
		for call, err := range map[string]error{"Link": linkErr, "Check": checkErr, "Nodes": nodesErr, "Break": client.Break(t.Context(), nil)} {
			if !errors.Is(err, want) {
				t.Errorf("%s at %s = %v, want %v", call, socket, err, want)
			}
		}
	}
}

// TestServer_StreamsProgress expects a response with a line for each report of progress, and with the result in the last line.
func TestServer_StreamsProgress(t *testing.T) {
	t.Parallel()
	s := serve(t, newEnv(t))
	node := s.addNode(t, 2)
	diffIDs, _ := s.image(t, "a", "b")
	body, err := json.Marshal(linkapi.Request{Address: node.address, Layers: diffIDs})
	must(t, err)
	code, text := s.send(t, http.MethodPost, linkapi.LinkPath, string(body))
	lines := strings.Split(strings.TrimSpace(text), "\n")
	want := `{"result":{"node":"kind-worker2","layers":2,"present":0,"linked":2,"files":6}}`
	if code != http.StatusOK || lines[len(lines)-1] != want {
		t.Errorf("POST %s = %d, last line %q, want %q", linkapi.LinkPath, code, lines[len(lines)-1], want)
	}
	for _, line := range lines[:len(lines)-1] {
		var message linkapi.Message
		if err := json.Unmarshal([]byte(line), &message); err != nil || message.Result != nil || message.Error != "" {
			t.Errorf("line %q, want progress (%v)", line, err)
		}
	}
}
