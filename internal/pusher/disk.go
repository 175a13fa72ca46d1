package pusher

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"kind-local-registry/internal/disk"
)

// maxPlan is the maximum size in bytes of a request to prune, which may contain a plan.
const maxPlan = 16 << 20

// diskLine is one line in the response to a request about disk space. The last line contains a result, or an error with the part of
// the result that was reached before it. Every other line contains a step.
type diskLine[Result any] struct {
	Step   *disk.Step `json:"step,omitempty"`
	Result *Result    `json:"result,omitempty"`
	Error  *fault     `json:"error,omitempty"`
}

// verifyRequest is the body of a request to verify the registry's images.
type verifyRequest struct {
	Repair bool `json:"repair"`
}

// UsePruner makes the server answer requests about disk space. It must be called before Serve.
func (s *Server) UsePruner(pruner *disk.Pruner) { s.pruner = pruner }

// registerDisk adds the API for disk space to the mux. Only the host may use it: a pod could otherwise find out what runs in other
// clusters.
func (s *Server) registerDisk(mux *http.ServeMux) {
	if s.pruner == nil {
		return
	}
	mux.Handle("GET "+imagesPath, s.hostOnly(func(w http.ResponseWriter, r *http.Request) {
		streamSteps(w, r, s.pruner.Report)
	}))
	mux.Handle("POST "+prunePath, s.hostOnly(func(w http.ResponseWriter, r *http.Request) {
		if options, ok := readDisk[disk.Options](w, r); ok {
			streamSteps(w, r, func(ctx context.Context, progress disk.Progress) (disk.Pruned, error) {
				return s.pruner.Prune(ctx, options, progress)
			})
		}
	}))
	mux.Handle("POST "+verifyPath, s.hostOnly(func(w http.ResponseWriter, r *http.Request) {
		if request, ok := readDisk[verifyRequest](w, r); ok {
			streamSteps(w, r, func(ctx context.Context, progress disk.Progress) (disk.Verified, error) {
				return s.pruner.Verify(ctx, request.Repair, progress)
			})
		}
	}))
}

// hostOnly responds with status 403 to requests that do not come from the host. Its requests come from the gateway of the
// container's network, because that is where Docker's proxy for published ports connects from.
func (s *Server) hostOnly(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, err := netip.ParseAddrPort(r.RemoteAddr)
		address := from.Addr().Unmap().WithZone("")
		if err != nil || !address.IsLoopback() && !slices.Contains(s.gateways(), address) {
			answer(w, http.StatusForbidden, fault{Detail: "only the host may ask about disk space"})
			return
		}
		next(w, r)
	})
}

// readDisk decodes the body of a request. If the body is invalid, it sends an error response and returns false.
func readDisk[Request any](w http.ResponseWriter, r *http.Request) (request Request, ok bool) {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxPlan)).Decode(&request); err != nil {
		answer(w, http.StatusBadRequest, fault{Detail: "reading the request: " + err.Error()})
		return request, false
	}
	return request, true
}

// streamSteps runs work, and writes its steps and its result as lines. If the client disconnects, the work is cancelled.
func streamSteps[Result any](w http.ResponseWriter, r *http.Request, work func(context.Context, disk.Progress) (Result, error)) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	steps, done := make(chan disk.Step, 1), make(chan diskLine[Result], 1)
	go func() {
		result, err := work(ctx, func(now disk.Step) { replace(steps, now) })
		line := diskLine[Result]{Result: &result}
		if err != nil {
			line.Error = newFault(err)
		}
		done <- line
	}()
	w.Header().Set("Content-Type", "application/x-ndjson")
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	var last disk.Step
	for {
		select {
		case line := <-done:
			_ = write(w, line) // an error changes nothing: the work has ended
			return
		case last = <-steps:
		case <-ticker.C:
		}
		if write(w, diskLine[Result]{Step: &last}) != nil {
			cancel()
			<-done
			return
		}
		ticker.Reset(heartbeat)
	}
}

// Images does the same as disk.Pruner.Report, through the server.
func (c *Client) Images(ctx context.Context, progress disk.Progress) (disk.Report, error) {
	return exchange[disk.Report](ctx, c, http.MethodGet, imagesPath, nil, progress)
}

// Prune does the same as disk.Pruner.Prune, through the server. If it fails, it returns what it knows to be removed.
func (c *Client) Prune(ctx context.Context, options disk.Options, progress disk.Progress) (disk.Pruned, error) {
	return exchange[disk.Pruned](ctx, c, http.MethodPost, prunePath, options, progress)
}

// Verify does the same as disk.Pruner.Verify, through the server.
func (c *Client) Verify(ctx context.Context, repair bool, progress disk.Progress) (disk.Verified, error) {
	return exchange[disk.Verified](ctx, c, http.MethodPost, verifyPath, verifyRequest{Repair: repair}, progress)
}

// exchange sends a request about disk space and waits for the result. It fails if the server sends nothing for three heartbeats.
func exchange[Result any](
	ctx context.Context, c *Client, method, path string, body any, progress disk.Progress,
) (result Result, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watchdog := time.AfterFunc(3*heartbeat, func() { cancel(errStalled) })
	defer watchdog.Stop()
	result, err = receive[Result](ctx, c, method, path, body, func(now disk.Step) {
		watchdog.Reset(3 * heartbeat)
		progress(now)
	})
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	if err != nil {
		return result, fmt.Errorf("asking the pusher: %w", err)
	}
	return result, nil
}

// receive sends the request and reads the response line by line. With an error, it returns the partial result that came with it.
func receive[Result any](
	ctx context.Context, c *Client, method, path string, body any, progress disk.Progress,
) (result Result, err error) {
	content, err := json.Marshal(body)
	if err != nil {
		return result, err
	}
	request, err := http.NewRequestWithContext(ctx, method, "https://"+c.address+path, bytes.NewReader(content))
	if err != nil {
		return result, err
	}
	response, err := send(c.pushes, request)
	if err != nil {
		return result, err
	}
	defer func() { _ = response.Body.Close() }()
	for lines := json.NewDecoder(response.Body); ; {
		var line diskLine[Result]
		err := lines.Decode(&line)
		switch {
		case errors.Is(err, io.EOF):
			return result, io.ErrUnexpectedEOF
		case err != nil:
			return result, err
		case line.Step != nil:
			progress(*line.Step)
			continue
		}
		if line.Result != nil {
			result = *line.Result
		}
		if line.Error != nil {
			return result, line.Error.err()
		}
		return result, nil
	}
}
