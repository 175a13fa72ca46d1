package link

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"kind-local-registry/internal/httpserver"
	"kind-local-registry/internal/link/linkapi"
)

// Server serves a Linker through the API of package linkapi.
type Server struct {
	linker  *Linker
	log     *slog.Logger
	metrics *metrics

	ctx        context.Context //nolint:containedctx // of the work in the background; Serve cancels it
	cancel     context.CancelFunc
	background sync.WaitGroup // requests whose response does not wait for the work
}

// NewServer returns a server of the linker. It logs each request to link layers.
func NewServer(linker *Linker, log *slog.Logger) *Server {
	ctx, cancel := context.WithCancel(context.Background())
	return &Server{linker: linker, log: log, metrics: newMetrics(), ctx: ctx, cancel: cancel}
}

// Serve serves clients on listener until ctx ends. It then waits a while for running requests, and returns nil. It may be called
// only once.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	defer s.background.Wait()
	defer s.cancel()
	server := &http.Server{Handler: s.handler(), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute}
	if err := httpserver.Until(ctx, server, listener); err != nil {
		return fmt.Errorf("serving the linker: %w", err)
	}
	return nil
}

// handler returns the API.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+linkapi.LinkPath, s.link)
	mux.HandleFunc("POST "+linkapi.CheckPath, s.check)
	mux.HandleFunc("POST "+linkapi.PrelinkPath, s.prelink)
	mux.HandleFunc("POST "+linkapi.BreakPath, s.breakLayers)
	mux.HandleFunc("POST "+linkapi.PresentPath, s.present)
	mux.HandleFunc("GET "+linkapi.NodesPath, s.nodes)
	mux.Handle("GET /metrics", s.metrics.page)
	return mux
}

// link answers POST /v1/link. Linking stops when the client disconnects.
func (s *Server) link(w http.ResponseWriter, r *http.Request) {
	request, ok := readRequest(w, r)
	if !ok {
		return
	}
	ctx := r.Context()
	progress := make(chan int64, 1)
	done := make(chan linkapi.Message, 1)
	go func() {
		done <- s.run(ctx, request, func(files int64) {
			select {
			case progress <- files:
			default: // the previous number has not been sent yet
			}
		})
	}()
	for {
		select {
		case files := <-progress:
			write(w, linkapi.Message{Files: files})
		case last := <-done:
			write(w, last)
			return
		}
	}
}

// run links the layers, counts and logs the result, and returns the last line of the response.
func (s *Server) run(ctx context.Context, request linkapi.Request, progress func(files int64)) linkapi.Message {
	start := time.Now()
	result, err := s.linker.Link(ctx, request.Address, request.Layers, progress)
	took := time.Since(start)
	s.metrics.linked(result, took, err)
	logLink(ctx, s.log, request.Address, result, took, err)
	last := linkapi.Message{Result: &result}
	if err != nil {
		last.Error = err.Error()
	}
	return last
}

// check answers POST /v1/check.
func (s *Server) check(w http.ResponseWriter, r *http.Request) {
	if request, ok := readRequest(w, r); ok {
		write(w, s.linker.Check(r.Context(), request.Layers))
	}
}

// prelink answers POST /v1/prelink before the layers are linked.
func (s *Server) prelink(w http.ResponseWriter, r *http.Request) {
	request, ok := readRequest(w, r)
	if !ok {
		return
	}
	s.background.Go(func() {
		s.linker.Prelink(s.ctx, request.Layers, func(result linkapi.Result, took time.Duration, err error) {
			s.metrics.linked(result, took, err)
			logLink(s.ctx, s.log, "", result, took, err)
		})
	})
}

// breakLayers answers POST /v1/break before the layers are removed from the nodes.
func (s *Server) breakLayers(w http.ResponseWriter, r *http.Request) {
	request, ok := readRequest(w, r)
	if !ok {
		return
	}
	if err := s.linker.Break(request.Layers); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	s.background.Go(func() {
		s.linker.Unlink(s.ctx, request.Layers, func(node string, removed int, err error) {
			attributes := []slog.Attr{slog.String("node", node), slog.Int("layers", removed)}
			if err != nil {
				attributes = append(attributes, slog.String("error", err.Error()))
			}
			s.log.LogAttrs(s.ctx, slog.LevelInfo, "broken layers removed", attributes...)
		})
	})
}

// present answers POST /v1/present.
func (s *Server) present(w http.ResponseWriter, r *http.Request) {
	request, ok := readRequest(w, r)
	if !ok {
		return
	}
	nodes, err := s.linker.Present(r.Context(), request.Layers)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	write(w, nodes)
}

// nodes answers GET /v1/nodes.
func (s *Server) nodes(w http.ResponseWriter, r *http.Request) {
	nodes, err := s.linker.Nodes(r.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	write(w, nodes)
}

// readRequest reads the body of a request. If the request is invalid, it sends an error response and returns false.
func readRequest(w http.ResponseWriter, r *http.Request) (request linkapi.Request, ok bool) {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, linkapi.MaxRequest)).Decode(&request); err != nil {
		http.Error(w, "reading the request: "+err.Error(), http.StatusBadRequest)
		return request, false
	}
	for _, layer := range request.Layers {
		if err := layer.Validate(); err != nil {
			http.Error(w, fmt.Sprintf("reading the request: layer %q: %v", layer, err), http.StatusBadRequest)
			return request, false
		}
	}
	return request, true
}

// write writes one line. An error means that the client has disconnected.
func write(w http.ResponseWriter, line any) {
	_ = json.NewEncoder(w).Encode(line)
	_ = http.NewResponseController(w).Flush()
}

// logLink logs the result of a request to link layers, unless the node already had all of them. address is "" if the request did
// not name a node.
func logLink(ctx context.Context, log *slog.Logger, address string, result linkapi.Result, took time.Duration, err error) {
	attributes := []slog.Attr{slog.String("node", result.Node)}
	if address != "" {
		attributes = append(attributes, slog.String("address", address))
	}
	attributes = append(attributes, slog.Int("layers", result.Layers), slog.Int("linked", result.Linked),
		slog.Int64("files", result.Files), slog.String("duration", took.Round(time.Millisecond).String()))
	switch {
	case err != nil:
		attributes = append(attributes, slog.String("error", err.Error()))
		log.LogAttrs(ctx, slog.LevelInfo, "layers not linked, the node pulls them", attributes...)
	case result.Linked > 0:
		log.LogAttrs(ctx, slog.LevelInfo, "layers linked", attributes...)
	}
}
