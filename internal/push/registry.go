package push

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"
)

const (
	// maxConcurrentHeads is the maximum number of concurrent requests about blobs in one push or lookup.
	maxConcurrentHeads = 8
	// maxDocument is the maximum size in bytes of an image manifest or error message that is read into memory. Registries have
	// the same limit for an image manifest.
	maxDocument = 4 << 20
)

// Registry sends requests to a registry without authentication. It is safe for concurrent use.
type Registry struct {
	base *url.URL
	http *http.Client
}

// NewRegistry returns a client for the registry at address. The address is a URL such as http://kind-registry:5000, or a Unix
// socket such as unix:///run/registry.sock. The client ignores proxy settings in the environment.
func NewRegistry(address string) (*Registry, error) {
	base, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("parsing the registry's address: %w", err)
	}
	dial := Dialer().DialContext
	switch {
	case base.Scheme == "unix" && base.Host == "" && strings.HasPrefix(base.Path, "/"):
		dial = dialSocket(base.Path)
		base = &url.URL{Scheme: "http", Host: "localhost"}
	case base.Host == "" || base.Scheme != "http" && base.Scheme != "https":
		return nil, fmt.Errorf("the registry's address %q is not like http://kind-registry:5000 or unix:///run/registry.sock", address)
	}
	return &Registry{base: base, http: &http.Client{Transport: &http.Transport{
		DialContext:         dial,
		TLSHandshakeTimeout: 5 * time.Second,
		// After the last byte of a layer, the registry still has to write the layer to disk.
		ResponseHeaderTimeout: 2 * time.Minute,
		MaxIdleConnsPerHost:   maxConcurrentHeads,
		IdleConnTimeout:       time.Minute,
		WriteBufferSize:       64 << 10,
	}}}, nil
}

// Close closes idle connections.
func (r *Registry) Close() { r.http.CloseIdleConnections() }

// request returns a request for a path below /v2/.
func (r *Registry) request(ctx context.Context, method, path string, body io.Reader) (*http.Request, error) {
	return http.NewRequestWithContext(ctx, method, r.base.JoinPath("v2", path).String(), body)
}

// send sends the request. If the response's status code is not in want, the error is a *StatusError. Otherwise the caller must
// close the response's body.
func (r *Registry) send(request *http.Request, want ...int) (*http.Response, error) {
	response, err := r.http.Do(request)
	if err != nil {
		return nil, err
	}
	for _, code := range want {
		if response.StatusCode == code {
			return response, nil
		}
	}
	defer func() { _ = response.Body.Close() }()
	return nil, &StatusError{
		Code:     response.StatusCode,
		Request:  request.Method + " " + request.URL.Path,
		Response: response.Status + errorText(response.Body),
	}
}

// StatusError is an unexpected response from the registry.
type StatusError struct {
	// Code is the status code.
	Code int
	// Request is the method and path. Response is the status and the registry's error messages.
	Request, Response string
}

// Error returns the request and the response.
func (e *StatusError) Error() string { return e.Request + ": " + e.Response }

// isTemporary reports whether the cause of an error may disappear within seconds, for example because the registry is
// restarting or busy. A full disk is not temporary.
func isTemporary(err error) bool {
	if _, fromSource := errors.AsType[*sourceError](err); fromSource {
		return false
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	if status, ok := errors.AsType[*StatusError](err); ok {
		lost := strings.Contains(status.Response, "MANIFEST_BLOB_UNKNOWN") // the registry lost a blob during the push
		busy := status.Code == http.StatusTooManyRequests || status.Code >= http.StatusInternalServerError
		return lost || busy && !NoSpace(err)
	}
	_, network := errors.AsType[net.Error](err)
	return network || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// NoSpace reports whether a push failed because a disk is full: the registry's, or the daemon's if the source is save. Both
// report this only in the text of the error.
func NoSpace(err error) bool {
	return err != nil && strings.Contains(err.Error(), syscall.ENOSPC.Error())
}

// errorText returns the errors in a response's body, each preceded by a colon. It returns "" if there are none.
func errorText(body io.Reader) string {
	var answer struct {
		Errors []struct {
			Code    string          `json:"code"`
			Message string          `json:"message"`
			Detail  json.RawMessage `json:"detail"`
		} `json:"errors"`
	}
	if json.NewDecoder(io.LimitReader(body, maxDocument)).Decode(&answer) != nil {
		return ""
	}
	var text strings.Builder
	for _, e := range answer.Errors {
		fmt.Fprintf(&text, ": %s: %s %s", e.Code, e.Message, e.Detail)
	}
	return text.String()
}
