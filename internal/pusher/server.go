package pusher

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"kind-local-registry/internal/disk"
	"kind-local-registry/internal/gateway"
	"kind-local-registry/internal/httpserver"
	"kind-local-registry/internal/push"
	"kind-local-registry/internal/rewrite"
)

// Server serves a Service on the network:
//
//	GET  /v1/lookup?name=NAME                    rewrite.Presence
//	GET  /v1/nodes                               [linkapi.Node…]
//	GET  /v1/node-layers?name=NAME               [linkapi.NodeLayers…]
//	GET  /v1/broken-promises                     [BrokenPromise…]
//	GET  /v1/events                              lines: {"event":Event} or {}, until the client disconnects
//	POST /v1/promise {"name":IMAGE}              {"digest":…}
//	POST /v1/push {"name":IMAGE,"deliver":BOOL}  lines: {"progress":{…}}, and last {"result":{…}} or {"error":{…}}
//	GET  /metrics                                Prometheus metrics
//	GET  /v1/images                              lines: {"step":{…}}, and last {"result":disk.Report} or {"error":{…}}
//	POST /v1/prune disk.Options                  the same lines, with disk.Pruned
//	POST /v1/verify {"repair":BOOL}              the same lines, with disk.Verified
//
// Only the host may send the last three requests. The body of a response with a status code other than 200 is {"reason":…,"detail":…}.
type Server struct {
	service  *Service
	pruner   *disk.Pruner // nil to answer no requests about disk space
	gateways func() []netip.Addr
	log      *slog.Logger
	stopping chan struct{} // closed when Serve's context has ended
}

// NewServer returns a server for the service. The server logs the result of each push.
func NewServer(service *Service, log *slog.Logger) *Server {
	return &Server{service: service, gateways: gateway.Addresses, log: log, stopping: make(chan struct{})}
}

// Serve serves clients on listener until ctx ends. It then waits for running pushes, for a limited time, and returns nil.
// security comes from ServerTLS.
func (s *Server) Serve(ctx context.Context, listener net.Listener, security *tls.Config) error {
	server := &http.Server{
		Handler:           s.handler(),
		Protocols:         new(http.Protocols),
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    maxLine,
		// A client without a valid certificate is not the server's fault.
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	server.Protocols.SetHTTP1(true)
	server.RegisterOnShutdown(func() { close(s.stopping) }) // streams of events never end by themselves
	if err := httpserver.Until(ctx, server, tls.NewListener(listener, security)); err != nil {
		return fmt.Errorf("serving the pusher: %w", err)
	}
	return nil
}

// handler returns the handler for all paths of the API.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+lookupPath, s.lookup)
	mux.HandleFunc("GET "+nodesPath, s.nodes)
	mux.HandleFunc("GET "+nodeLayersPath, s.nodeLayers)
	mux.HandleFunc("GET "+brokenPath, s.brokenPromises)
	mux.HandleFunc("GET "+eventsPath, s.events)
	mux.HandleFunc("POST "+promisePath, s.promise)
	mux.HandleFunc("POST "+pushPath, s.push)
	mux.Handle("GET /metrics", s.service.metrics.page)
	s.registerDisk(mux)
	return mux
}

// lookup handles GET /v1/lookup.
func (s *Server) lookup(w http.ResponseWriter, r *http.Request) {
	name, err := parseName(r.URL.Query().Get("name"))
	var presence rewrite.Presence
	if err == nil {
		presence, err = s.service.Lookup(r.Context(), name)
	}
	if err != nil {
		answerError(w, err)
		return
	}
	answer(w, http.StatusOK, presence)
}

// nodes handles GET /v1/nodes.
func (s *Server) nodes(w http.ResponseWriter, r *http.Request) {
	nodes, err := s.service.Nodes(r.Context())
	if err != nil {
		answerError(w, err)
		return
	}
	answer(w, http.StatusOK, nodes)
}

// nodeLayers handles GET /v1/node-layers.
func (s *Server) nodeLayers(w http.ResponseWriter, r *http.Request) {
	nodes, err := s.service.NodeLayers(r.Context(), r.URL.Query().Get("name"))
	if err != nil {
		answerError(w, err)
		return
	}
	answer(w, http.StatusOK, nodes)
}

// brokenPromises handles GET /v1/broken-promises.
func (s *Server) brokenPromises(w http.ResponseWriter, r *http.Request) {
	broken, err := s.service.BrokenPromises(r.Context())
	if err != nil {
		answerError(w, err)
		return
	}
	answer(w, http.StatusOK, broken)
}

// promise handles POST /v1/promise.
func (s *Server) promise(w http.ResponseWriter, r *http.Request) {
	request, ok := readPush(w, r)
	if !ok {
		return
	}
	d, err := s.service.Promise(r.Context(), request.Name)
	if err != nil {
		answerError(w, err)
		return
	}
	answer(w, http.StatusOK, promised{Digest: d})
}

// readPush reads the body of a request to push or promise an image. If the request is invalid, it sends an error response and
// returns false.
func readPush(w http.ResponseWriter, r *http.Request) (request pushRequest, ok bool) {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxLine)).Decode(&request); err != nil {
		answer(w, http.StatusBadRequest, fault{Detail: fmt.Sprintf("reading the request: %v", err)})
		return request, false
	}
	return request, true
}

// push handles POST /v1/push. When the client disconnects, the push is cancelled unless other clients are waiting for it.
func (s *Server) push(w http.ResponseWriter, r *http.Request) {
	request, ok := readPush(w, r)
	if !ok {
		return
	}
	run := s.service.Push
	if request.Deliver {
		run = s.service.Deliver
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	start := time.Now()
	progress := make(chan push.Progress, 1)
	done := make(chan message, 1)
	go func() {
		result, err := run(ctx, request.Name, func(p push.Progress) { replace(progress, p) })
		if !result.Promised {
			logPush(ctx, s.log, request.Name, result, time.Since(start), err)
		}
		if err != nil {
			done <- message{Error: newFault(err)}
			return
		}
		done <- message{Result: &result}
	}()
	if !stream(w, progress, done) {
		cancel()
		<-done
	}
}

// stream writes lines until the push has ended. It returns false if the client stops reading the lines.
func stream(w http.ResponseWriter, progress <-chan push.Progress, done <-chan message) bool {
	w.Header().Set("Content-Type", "application/x-ndjson")
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	var last push.Progress
	for {
		select {
		case line := <-done:
			_ = write(w, line) // an error changes nothing: the push has ended
			return true
		case last = <-progress:
		case <-ticker.C:
		}
		if write(w, message{Progress: &last}) != nil {
			return false
		}
		ticker.Reset(heartbeat)
	}
}

// write writes one line, which the client must read within two heartbeats.
func write(w http.ResponseWriter, line any) error {
	control := http.NewResponseController(w)
	if err := control.SetWriteDeadline(time.Now().Add(2 * heartbeat)); err != nil {
		return err
	}
	if err := json.NewEncoder(w).Encode(line); err != nil {
		return err
	}
	return control.Flush()
}

// replace sends p to a channel with capacity one. It drops a value that has not been received yet.
func replace[Progress any](progress chan Progress, p Progress) {
	select {
	case <-progress:
	default:
	}
	progress <- p
}

// logPush logs the result of a push.
func logPush(ctx context.Context, log *slog.Logger, image string, result push.Result, took time.Duration, err error) {
	attributes := []slog.Attr{slog.String("image", image), slog.String("duration", took.Round(time.Millisecond).String())}
	if err != nil {
		attributes = append(attributes, slog.String("error", err.Error())) // the text of a refusal begins with its reason
		log.LogAttrs(ctx, slog.LevelInfo, "image not pushed", attributes...)
		return
	}
	attributes = append(attributes, slog.String("digest", result.Digest.String()), slog.Int64("bytes", result.Bytes))
	log.LogAttrs(ctx, slog.LevelInfo, "image pushed", attributes...)
}

// answer writes a response with a JSON body.
func answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // fails only if the client has disconnected
}

// answerError writes the response to a request that failed.
func answerError(w http.ResponseWriter, err error) {
	code := http.StatusBadGateway
	if rewrite.ReasonOf(err) != "" {
		code = http.StatusUnprocessableEntity
	}
	answer(w, code, newFault(err))
}
