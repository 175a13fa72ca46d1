package linkapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pipes is a listener for in-memory connections, so that time in a synctest bubble passes only while both sides wait.
type pipes struct {
	connections chan net.Conn
	closed      chan struct{}
}

// Accept implements net.Listener.
func (p pipes) Accept() (net.Conn, error) {
	select {
	case connection := <-p.connections:
		return connection, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (p pipes) Close() error {
	close(p.closed)
	return nil
}

// Addr implements net.Listener.
func (pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// withLinker runs a test with a client of a fake linker, in a synctest bubble.
func withLinker(t *testing.T, linker http.HandlerFunc, test func(t *testing.T, client *Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		listener := pipes{make(chan net.Conn), make(chan struct{})}
		server := &http.Server{ReadHeaderTimeout: time.Hour, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body) // only after this does the request's context end when the client leaves
			r.Body = io.NopCloser(bytes.NewReader(body))
			linker(w, r)
		})}
		served := make(chan struct{})
		go func() { defer close(served); _ = server.Serve(listener) }() // it ends when the test closes the server
		client := &Client{&http.Client{Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				ours, theirs := net.Pipe()
				select {
				case listener.connections <- theirs:
					return ours, nil
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			},
		}}}
		test(t, client)
		client.Close()
		if err := server.Close(); err != nil {
			t.Errorf("closing the server: %v", err)
		}
		<-served
	})
}

// say writes a line of a response.
func say(w http.ResponseWriter, line string) {
	_, _ = io.WriteString(w, line+"\n")
	_ = http.NewResponseController(w).Flush()
}

// wait waits for some time, or until the client has left.
func wait(r *http.Request, d time.Duration) {
	select {
	case <-time.After(d):
	case <-r.Context().Done():
	}
}

const lastLine = `{"result":{"node":"kind-worker","layers":3,"present":1,"linked":2,"files":50}}`

func TestLink_ReturnsResultOfLastLine(t *testing.T) {
	t.Parallel()
	want := Request{Address: "172.18.0.2", Layers: []digest.Digest{digest.FromString("a"), digest.FromString("b")}}
	withLinker(t, func(w http.ResponseWriter, r *http.Request) {
		var got Request
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil || r.Method != http.MethodPost || r.URL.Path != LinkPath {
			t.Errorf("%s %s: %v, want POST %s", r.Method, r.URL.Path, err, LinkPath)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("request (-want +got):\n%s", diff)
		}
		for range 10 { // longer than the client waits for one line
			say(w, `{"files":5}`)
			wait(r, stallTimeout-time.Millisecond)
			say(w, `{}`)
		}
		say(w, lastLine)
	}, func(t *testing.T, client *Client) {
		got, err := client.Link(t.Context(), want.Address, want.Layers)
		want := Result{Node: "kind-worker", Layers: 3, Present: 1, Linked: 2, Files: 50}
		if err != nil || got != want || !got.Complete() {
			t.Errorf("Link = %+v, %v, want %+v", got, err, want)
		}
	})
}

func TestLink_EndsIfLinkerStalls(t *testing.T) {
	t.Parallel()
	for what, test := range map[string]struct {
		linker func(w http.ResponseWriter, r *http.Request)
		want   error
		after  time.Duration
	}{
		"no response": {func(_ http.ResponseWriter, r *http.Request) { wait(r, time.Hour) }, ErrStalled, stallTimeout},
		"no line after the first": {func(w http.ResponseWriter, r *http.Request) {
			wait(r, time.Second)
			say(w, `{"files":1}`)
			wait(r, time.Hour)
		}, ErrStalled, time.Second + stallTimeout},
		"half a line": {func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, lastLine[:20])
			_ = http.NewResponseController(w).Flush()
			wait(r, time.Hour)
		}, ErrStalled, stallTimeout},
		"progress without end": {func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				say(w, `{"files":1}`)
				wait(r, Heartbeat)
			}
		}, context.DeadlineExceeded, linkTimeout},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			withLinker(t, test.linker, func(t *testing.T, client *Client) {
				start := time.Now()
				got, err := client.Link(t.Context(), "172.18.0.2", nil)
				if !errors.Is(err, test.want) || got != (Result{}) {
					t.Errorf("Link = %+v, %v, want %v", got, err, test.want)
				}
				if took := time.Since(start); took != test.after {
					t.Errorf("Link took %s, want %s", took, test.after)
				}
			})
		})
	}
}

func TestLink_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	withLinker(t, func(_ http.ResponseWriter, r *http.Request) { wait(r, time.Hour) }, func(t *testing.T, client *Client) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := client.Link(ctx, "172.18.0.2", nil); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrStalled) {
			t.Errorf("Link = %v, want %v", err, context.DeadlineExceeded)
		}
	})
}

func TestLink_ReturnsErrorOfResponse(t *testing.T) {
	t.Parallel()
	partial := Result{Node: "kind-worker", Layers: 3, Present: 1, Linked: 2, Files: 50}
	for what, test := range map[string]struct {
		response string
		want     string
		result   Result
	}{
		"an error":               {`{"error":"no space left"}`, "no space left", Result{}},
		"an error with a result": {strings.TrimSuffix(lastLine, "}") + `,"error":"no space left"}`, "no space left", partial},
		"no last line":           {`{"files":5}`, "unexpected EOF", Result{}},
		"nothing":                {"", "unexpected EOF", Result{}},
		"no JSON":                {"<html>", "reading the response: invalid character", Result{}},
		"a line without an end":  {strings.Repeat("x", MaxRequest+1), "token too long", Result{}},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			withLinker(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, test.response) },
				func(t *testing.T, client *Client) {
					got, err := client.Link(t.Context(), "172.18.0.2", nil)
					if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "172.18.0.2") {
						t.Errorf("Link = %v, want %q with the address", err, test.want)
					}
					if got != test.result {
						t.Errorf("Link = %+v, want %+v", got, test.result)
					}
				})
		})
	}
}

// calls returns the client's calls other than Link.
func calls(t *testing.T, client *Client) map[string]func() error {
	t.Helper()
	return map[string]func() error{
		"Check":   func() error { _, err := client.Check(t.Context(), nil); return err },
		"Present": func() error { _, err := client.Present(t.Context(), nil); return err },
		"Nodes":   func() error { _, err := client.Nodes(t.Context()); return err },
		"Break":   func() error { return client.Break(t.Context(), nil) },
	}
}

func TestClient_EndsRequestsThatTakeLong(t *testing.T) {
	t.Parallel()
	withLinker(t, func(_ http.ResponseWriter, r *http.Request) { wait(r, time.Hour) }, func(t *testing.T, client *Client) {
		for name, call := range calls(t, client) {
			start := time.Now()
			if err := call(); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s = %v, want %v", name, err, context.DeadlineExceeded)
			}
			if took := time.Since(start); took != askTimeout {
				t.Errorf("%s took %s, want %s", name, took, askTimeout)
			}
		}
	})
}

func TestClient_ReturnsErrorOfStatusCode(t *testing.T) {
	t.Parallel()
	withLinker(t, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no space left", http.StatusInternalServerError)
	}, func(t *testing.T, client *Client) {
		for name, call := range calls(t, client) {
			if err := call(); err == nil || !strings.Contains(err.Error(), "500 Internal Server Error: no space left") {
				t.Errorf("%s = %v, want the status code and the text", name, err)
			}
		}
	})
}

func TestClient_ReadsStateAndNodes(t *testing.T) {
	t.Parallel()
	withLinker(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case NodesPath:
			say(w, `[{"name":"a","cluster":"kind"},{"name":"b","cluster":"kind","unlinkable":"LinkRefused","detail":"EPERM"}]`)
		case PresentPath:
			say(w, `[{"name":"a","cluster":"kind","layers":3,"present":2}]`)
		default:
			say(w, `{"unlinkable":"Broken","detail":"why"}`)
		}
	}, func(t *testing.T, client *Client) {
		state, err := client.Check(t.Context(), nil)
		if want := (State{Broken, "why"}); err != nil || state != want {
			t.Errorf("Check = %+v, %v, want %+v", state, err, want)
		}
		nodes, err := client.Nodes(t.Context())
		want := []Node{{Name: "a", Cluster: "kind"}, {Name: "b", Cluster: "kind", State: State{LinkRefused, "EPERM"}}}
		if diff := cmp.Diff(want, nodes); err != nil || diff != "" {
			t.Errorf("Nodes: error %v, (-want +got):\n%s", err, diff)
		}
		layers, err := client.Present(t.Context(), nil)
		if want := (NodeLayers{want[0], 3, 2}); err != nil || len(layers) != 1 || layers[0] != want {
			t.Errorf("Present = %+v, %v, want %+v", layers, err, want)
		}
	})
}
