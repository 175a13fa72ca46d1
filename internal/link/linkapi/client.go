package linkapi

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/opencontainers/go-digest"
)

const (
	// stallTimeout is how long a link request may make no progress. The pull that is waiting then fetches the layers itself.
	stallTimeout = 2 * time.Second
	// linkTimeout is how long a link request may take in all. containerd waits 30 seconds for a registry's response
	// (https://github.com/containerd/containerd/blob/v2.3.4/core/remotes/docker/config/hosts.go).
	linkTimeout = 25 * time.Second
	// askTimeout is how long any other request may take.
	askTimeout = 2 * time.Second
)

// ErrStalled is the error of a link request that makes no progress for two seconds.
var ErrStalled = errors.New("the linker made no progress for " + stallTimeout.String())

// Client is a client of the linker. It is safe for concurrent use.
type Client struct{ http *http.Client }

// NewClient returns a client of the linker at the path of a Unix socket. If no linker listens there, every call fails
// immediately.
func NewClient(socket string) *Client {
	return &Client{&http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
		IdleConnTimeout: time.Minute,
	}}}
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Link gives the node at an IP address the layers with those diffIDs, lowest first. Even on an error, the result tells which
// layers the node has. Link fails with ErrStalled after two seconds without progress, and after 25 seconds in any case.
func (c *Client) Link(ctx context.Context, address string, diffIDs []digest.Digest) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, linkTimeout)
	defer cancel()
	ctx, stall := context.WithCancelCause(ctx)
	defer stall(nil)
	watchdog := time.AfterFunc(stallTimeout, func() { stall(ErrStalled) })
	defer watchdog.Stop()
	result, err := c.link(ctx, Request{Address: address, Layers: diffIDs}, func() { watchdog.Reset(stallTimeout) })
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		err = fmt.Errorf("linking layers to the node at %s: %w", address, err)
	}
	return result, err
}

// link sends the request and reads the lines of the response. It calls alive after each line that reports progress.
func (c *Client) link(ctx context.Context, request Request, alive func()) (result Result, err error) {
	response, err := c.post(ctx, LinkPath, request)
	if err != nil {
		return Result{}, err
	}
	defer func() { _ = response.Body.Close() }()
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, MaxRequest)
	for lines.Scan() {
		var line Message
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return Result{}, fmt.Errorf("reading the response: %w", err)
		}
		if line.Result != nil {
			result = *line.Result
		}
		if line.Error != "" {
			return result, errors.New(line.Error)
		}
		if line.Result != nil {
			return result, nil
		}
		alive()
	}
	if err := lines.Err(); err != nil {
		return Result{}, err
	}
	return Result{}, io.ErrUnexpectedEOF
}

// Check reports whether the layers with those diffIDs can be linked to a kind node.
func (c *Client) Check(ctx context.Context, diffIDs []digest.Digest) (state State, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	response, err := c.post(ctx, CheckPath, Request{Layers: diffIDs})
	if err != nil {
		return State{}, fmt.Errorf("asking the linker about layers: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if err := read(response.Body, &state); err != nil {
		return State{}, fmt.Errorf("reading the linker's response about layers: %w", err)
	}
	return state, nil
}

// Prelink gives the layers with those diffIDs to every node that has the lowest of them, because such a node has probably run an
// earlier build of the image. It returns once the linker has begun.
func (c *Client) Prelink(ctx context.Context, diffIDs []digest.Digest) error {
	if err := c.tell(ctx, PrelinkPath, diffIDs); err != nil {
		return fmt.Errorf("asking the linker to link layers in advance: %w", err)
	}
	return nil
}

// Break tells the linker never to link the last of the layers with those diffIDs again on top of the others, because its content
// does not match its digest.
func (c *Client) Break(ctx context.Context, diffIDs []digest.Digest) error {
	if err := c.tell(ctx, BreakPath, diffIDs); err != nil {
		return fmt.Errorf("reporting broken layers to the linker: %w", err)
	}
	return nil
}

// tell sends a request whose response has no body.
func (c *Client) tell(ctx context.Context, path string, diffIDs []digest.Digest) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	response, err := c.post(ctx, path, Request{Layers: diffIDs})
	if err != nil {
		return err
	}
	return response.Body.Close()
}

// Present reports how many of the layers with those diffIDs each of the daemon's kind nodes has.
func (c *Client) Present(ctx context.Context, diffIDs []digest.Digest) (nodes []NodeLayers, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	response, err := c.post(ctx, PresentPath, Request{Layers: diffIDs})
	if err != nil {
		return nil, fmt.Errorf("asking the linker which nodes have layers: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if err := read(response.Body, &nodes); err != nil {
		return nil, fmt.Errorf("reading the linker's response about nodes that have layers: %w", err)
	}
	return nodes, nil
}

// Nodes reports which of the daemon's kind nodes can be given layers.
func (c *Client) Nodes(ctx context.Context) (nodes []Node, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://linker"+NodesPath, nil)
	if err != nil {
		return nil, err
	}
	response, err := c.send(request)
	if err != nil {
		return nil, fmt.Errorf("asking the linker about nodes: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if err := read(response.Body, &nodes); err != nil {
		return nil, fmt.Errorf("reading the linker's response about nodes: %w", err)
	}
	return nodes, nil
}

// post sends a request with a JSON body.
func (c *Client) post(ctx context.Context, path string, body Request) (*http.Response, error) {
	document, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://linker"+path, bytes.NewReader(document))
	if err != nil {
		return nil, err
	}
	return c.send(request)
}

// send sends a request. A status code other than 200 is an error.
func (c *Client) send(request *http.Request) (*http.Response, error) {
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, MaxRequest)) // the status code is the error
		return nil, errors.Join(fmt.Errorf("%s: %s", response.Status, bytes.TrimSpace(text)), response.Body.Close())
	}
	return response, nil
}

// read decodes the JSON body of a response.
func read(body io.Reader, into any) error {
	return json.NewDecoder(io.LimitReader(body, 16*MaxRequest)).Decode(into)
}
