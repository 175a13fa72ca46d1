package pusher

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/link/linkapi"
	"kind-local-registry/internal/push"
	"kind-local-registry/internal/rewrite"
)

const (
	// maxConcurrentLookups is the maximum number of concurrent lookups from one client. Further lookups wait.
	maxConcurrentLookups = 64
	// maxConcurrentPushRequests is the maximum number of concurrent push requests from one client. It exceeds the number of
	// pods that the webhook reconciles concurrently, because a push may last for minutes.
	maxConcurrentPushRequests = 512
)

// errStalled is the error of a push if the server has sent no line for three heartbeats.
var errStalled = errors.New("the pusher no longer responds")

// Client sends lookups and pushes to a Server. It is safe for concurrent use. Lookups and pushes use separate connections, so a
// lookup never waits for a push.
type Client struct {
	address string
	lookups *http.Client
	pushes  *http.Client
}

// NewClient returns a client for the server at address, in the form host:port. security comes from ClientTLS. The client
// ignores proxy settings in the environment.
func NewClient(address string, security *tls.Config) *Client {
	return &Client{address: address, lookups: newHTTPClient(security, maxConcurrentLookups), pushes: newHTTPClient(security, maxConcurrentPushRequests)}
}

// newHTTPClient returns a client that opens at most the given number of connections.
func newHTTPClient(security *tls.Config, connections int) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext:         push.Dialer().DialContext,
		TLSClientConfig:     security,
		TLSHandshakeTimeout: 5 * time.Second,
		MaxConnsPerHost:     connections,
		MaxIdleConnsPerHost: 8,
		IdleConnTimeout:     time.Minute,
	}}
}

// Close closes idle connections.
func (c *Client) Close() {
	c.lookups.CloseIdleConnections()
	c.pushes.CloseIdleConnections()
}

// Lookup does the same as Service.Lookup, through the server. Only ctx limits how long it takes.
func (c *Client) Lookup(ctx context.Context, name rewrite.Name) (rewrite.Presence, error) {
	var presence rewrite.Presence
	if err := c.get(ctx, lookupPath+"?"+url.Values{"name": {name.String()}}.Encode(), &presence); err != nil {
		return rewrite.Presence{}, fmt.Errorf("looking up %s through the pusher: %w", name, err)
	}
	return presence, nil
}

// Push does the same as Service.Push, through the server. It also fails if the server sends nothing for three heartbeats.
func (c *Client) Push(ctx context.Context, image string, progress func(push.Progress)) (push.Result, error) {
	return c.request(ctx, pushRequest{Name: image}, progress)
}

// Deliver does the same as Service.Deliver, through the server. It also fails if the server sends nothing for three heartbeats.
func (c *Client) Deliver(ctx context.Context, image string, progress func(push.Progress)) (push.Result, error) {
	return c.request(ctx, pushRequest{Name: image, Deliver: true}, progress)
}

// Nodes does the same as Service.Nodes, through the server. Only ctx limits how long it takes.
func (c *Client) Nodes(ctx context.Context) (nodes []linkapi.Node, err error) {
	if err := c.get(ctx, nodesPath, &nodes); err != nil {
		return nil, fmt.Errorf("listing the nodes through the pusher: %w", err)
	}
	return nodes, nil
}

// NodeLayers does the same as Service.NodeLayers, through the server. Only ctx limits how long it takes.
func (c *Client) NodeLayers(ctx context.Context, image string) (nodes []linkapi.NodeLayers, err error) {
	if err := c.get(ctx, nodeLayersPath+"?"+url.Values{"name": {image}}.Encode(), &nodes); err != nil {
		return nil, fmt.Errorf("listing the nodes that have %s through the pusher: %w", image, err)
	}
	return nodes, nil
}

// BrokenPromises does the same as Service.BrokenPromises, through the server. Only ctx limits how long it takes.
func (c *Client) BrokenPromises(ctx context.Context) (broken []BrokenPromise, err error) {
	if err := c.get(ctx, brokenPath, &broken); err != nil {
		return nil, fmt.Errorf("listing broken promises through the pusher: %w", err)
	}
	return broken, nil
}

// Promise does the same as Service.Promise, through the server. Only ctx limits how long it takes.
func (c *Client) Promise(ctx context.Context, image string) (digest.Digest, error) {
	body, err := json.Marshal(pushRequest{Name: image})
	if err != nil {
		return "", err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+c.address+promisePath, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	response, err := send(c.lookups, request)
	if err != nil {
		return "", fmt.Errorf("promising %s through the pusher: %w", image, err)
	}
	defer func() { _ = response.Body.Close() }()
	var result promised
	if err := json.NewDecoder(io.LimitReader(response.Body, maxLine)).Decode(&result); err != nil {
		return "", fmt.Errorf("reading the pusher's response about %s: %w", image, err)
	}
	return result.Digest, nil
}

// request sends a request to push or deliver an image, and waits for the result.
func (c *Client) request(ctx context.Context, request pushRequest, progress func(push.Progress)) (push.Result, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return push.Result{}, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watchdog := time.AfterFunc(3*heartbeat, func() { cancel(errStalled) })
	defer watchdog.Stop()
	alive := func(p push.Progress) {
		watchdog.Reset(3 * heartbeat)
		if progress != nil {
			progress(p)
		}
	}
	result, err := c.push(ctx, body, alive)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause // the server may have responded to the cancelled request with another error
	}
	if err != nil {
		return push.Result{}, fmt.Errorf("pushing %s through the pusher: %w", request.Name, err)
	}
	return result, nil
}

// push sends the request and reads the response line by line.
func (c *Client) push(ctx context.Context, body []byte, progress func(push.Progress)) (push.Result, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+c.address+pushPath, bytes.NewReader(body))
	if err != nil {
		return push.Result{}, err
	}
	response, err := send(c.pushes, request)
	if err != nil {
		return push.Result{}, err
	}
	defer func() { _ = response.Body.Close() }()
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var line message
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return push.Result{}, fmt.Errorf("reading the response: %w", err)
		}
		switch {
		case line.Error != nil:
			return push.Result{}, line.Error.err()
		case line.Result != nil:
			return *line.Result, nil
		case line.Progress != nil:
			progress(*line.Progress)
		}
	}
	if err := lines.Err(); err != nil {
		return push.Result{}, err
	}
	return push.Result{}, io.ErrUnexpectedEOF
}

// get sends a GET request and decodes the response into result.
func (c *Client) get(ctx context.Context, path string, result any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+c.address+path, nil)
	if err != nil {
		return err
	}
	response, err := send(c.lookups, request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if err := json.NewDecoder(io.LimitReader(response.Body, 64*maxLine)).Decode(result); err != nil {
		return fmt.Errorf("reading the response: %w", err)
	}
	return nil
}

// send sends a request. If the status code is not 200, it returns the error that the server sent, or an error with the status if
// the server sent none.
func send(over *http.Client, request *http.Request) (*http.Response, error) {
	response, err := over.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode == http.StatusOK {
		return response, nil
	}
	defer func() { _ = response.Body.Close() }()
	var reported fault
	if json.NewDecoder(io.LimitReader(response.Body, maxLine)).Decode(&reported) != nil || reported.Detail == "" {
		return nil, fmt.Errorf("%s %s: %s", request.Method, request.URL.Path, response.Status)
	}
	return nil, reported.err()
}
