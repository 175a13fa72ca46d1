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
	// parallelHeads is how many questions about blobs go to the registry at a time.
	parallelHeads = 8
	// maxDocument is the limit in bytes for what is held in memory, manifests and error messages: that of registries.
	maxDocument = 4 << 20
)

// Registry is one registry, without authentication. It may be used by several goroutines at once.
type Registry struct {
	base *url.URL
	http *http.Client
}

// NewRegistry returns the registry whose API is at address, such as http://kind-registry:5000, or on the Unix socket of a URL
// such as unix:///run/registry.sock. Proxies of the environment are not used for it.
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
		// After the last byte of a layer the registry still has to bring it to the disk.
		ResponseHeaderTimeout: 2 * time.Minute,
		MaxIdleConnsPerHost:   parallelHeads,
		IdleConnTimeout:       time.Minute,
		WriteBufferSize:       64 << 10,
	}}}, nil
}

// Close closes the connections that are idle.
func (r *Registry) Close() { r.http.CloseIdleConnections() }

// request makes a request for a path below /v2/.
func (r *Registry) request(ctx context.Context, method, path string, body io.Reader) (*http.Request, error) {
	return http.NewRequestWithContext(ctx, method, r.base.JoinPath("v2", path).String(), body)
}

// send sends the request. The answer must have one of the wanted codes; any other is an error with what the registry
// says. The caller closes the answer's body.
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
		Question: request.Method + " " + request.URL.Path,
		Answer:   response.Status + complaint(response.Body),
	}
}

// StatusError is an answer of the registry that was not wanted.
type StatusError struct {
	// Code is the status code of the answer.
	Code int
	// Question is what was asked, and Answer what the registry said.
	Question, Answer string
}

// Error returns the question and the answer.
func (e *StatusError) Error() string { return e.Question + ": " + e.Answer }

// passes says whether an error of the registry may pass within seconds: it is restarted, or busy. A full disk is not
// emptied so soon.
func passes(err error) bool {
	if _, fromSource := errors.AsType[*sourceError](err); fromSource {
		return false
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	if status, ok := errors.AsType[*StatusError](err); ok {
		lost := strings.Contains(status.Answer, "MANIFEST_BLOB_UNKNOWN") // a blob was removed after it was found
		busy := status.Code == http.StatusTooManyRequests || status.Code >= http.StatusInternalServerError
		return lost || busy && !NoSpace(err)
	}
	_, network := errors.AsType[net.Error](err)
	return network || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// NoSpace says whether a push failed as a disk is full: the registry's, or the daemon's, which needs space for save. Both
// tell so in words only, those of ENOSPC.
func NoSpace(err error) bool {
	return err != nil && strings.Contains(err.Error(), syscall.ENOSPC.Error())
}

// complaint returns what a registry says is wrong, with a colon before it, or "".
func complaint(body io.Reader) string {
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
