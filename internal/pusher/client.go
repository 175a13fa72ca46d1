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

	"kind-local-registry/internal/push"
	"kind-local-registry/webhook/rewrite"
)

// errStalled is the error of a push of which the server has not been heard for three heartbeats.
var errStalled = errors.New("the pusher does not answer any more")

// Client is the other end of a Server. It may be used by several goroutines at once.
type Client struct {
	address string
	http    *http.Client
}

// NewClient returns a client of the server at address, which is host:port. security is that of ClientTLS. Proxies of the
// environment are not used.
func NewClient(address string, security *tls.Config) *Client {
	return &Client{address: address, http: &http.Client{Transport: &http.Transport{
		DialContext:         push.Dialer().DialContext,
		TLSClientConfig:     security,
		TLSHandshakeTimeout: 5 * time.Second,
		MaxIdleConnsPerHost: 8,
		IdleConnTimeout:     time.Minute,
	}}}
}

// Close closes the connections that are idle.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Lookup is Service.Lookup. It waits as long as ctx does.
func (c *Client) Lookup(ctx context.Context, name string) (rewrite.Presence, error) {
	var presence rewrite.Presence
	response, err := c.send(ctx, http.MethodGet, lookupPath+"?"+url.Values{"name": {name}}.Encode(), nil)
	if err != nil {
		return presence, fmt.Errorf("asking the pusher about %s: %w", name, err)
	}
	defer func() { _ = response.Body.Close() }()
	if err := json.NewDecoder(io.LimitReader(response.Body, maxLine)).Decode(&presence); err != nil {
		return presence, fmt.Errorf("reading the pusher's answer about %s: %w", name, err)
	}
	return presence, nil
}

// Push is Service.Push. It fails when nothing is heard of the server for three heartbeats.
func (c *Client) Push(ctx context.Context, name string, progress func(push.Progress)) (push.Result, error) {
	body, err := json.Marshal(pushRequest{Name: name})
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
	if err != nil && errors.Is(context.Cause(ctx), errStalled) {
		err = errStalled
	}
	if err != nil {
		return push.Result{}, fmt.Errorf("having the pusher push %s: %w", name, err)
	}
	return result, nil
}

// push sends the request and reads the lines of the answer.
func (c *Client) push(ctx context.Context, body []byte, progress func(push.Progress)) (push.Result, error) {
	response, err := c.send(ctx, http.MethodPost, pushPath, bytes.NewReader(body))
	if err != nil {
		return push.Result{}, err
	}
	defer func() { _ = response.Body.Close() }()
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var line message
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return push.Result{}, fmt.Errorf("reading the answer: %w", err)
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

// send sends a request. Any other answer than 200 is an error, the server's own.
func (c *Client) send(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, "https://"+c.address+path, body)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode == http.StatusOK {
		return response, nil
	}
	defer func() { _ = response.Body.Close() }()
	var said fault
	if json.NewDecoder(io.LimitReader(response.Body, maxLine)).Decode(&said) != nil || said.Detail == "" {
		return nil, fmt.Errorf("%s %s: %s", method, path, response.Status)
	}
	return nil, said.err()
}
