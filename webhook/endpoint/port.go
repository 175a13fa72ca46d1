package endpoint

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/go-logr/logr"

	"kind-local-registry/internal/httpserver"
)

const (
	// headerTimeout limits the time for the TLS handshake, and then for each request's header.
	headerTimeout = 5 * time.Second
	// idleTimeout is how long an idle connection is kept open. The API server keeps idle connections open for the same time.
	idleTimeout = 90 * time.Second
	// maxHeader is the maximum size of a request's header in bytes. The API server sends a few hundred bytes.
	maxHeader = 8 << 10
	// dialTimeout limits how long the process may take to accept its own connection.
	dialTimeout = 5 * time.Second
)

// Certificates provides the serving certificate. A *certs.Keeper implements it.
type Certificates interface {
	// GetCertificate returns the certificate. It is for tls.Config.GetCertificate.
	GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error)
	// Ready is a healthz.Checker. It fails until there is a certificate to serve.
	Ready(request *http.Request) error
}

// Port serves a Handler over HTTPS. It uses HTTP/1.1, which the API server requests. It is a manager.Runnable.
type Port struct {
	// Number is the TCP port. It is opened on all addresses.
	Number int
	// Handler answers the requests.
	Handler *Handler
	// Certificates provides the serving certificate.
	Certificates Certificates
	// Log is used for connection errors.
	Log logr.Logger
}

// NeedLeaderElection implements manager.LeaderElectionRunnable. It returns false because every replica serves.
func (*Port) NeedLeaderElection() bool { return false }

// Start serves until ctx ends.
func (p *Port) Start(ctx context.Context) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", ":"+strconv.Itoa(p.Number))
	if err != nil {
		return fmt.Errorf("listening for the API server: %w", err)
	}
	open := newConnections(maxStrangers)
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if p.Handler.Knows(r) {
				open.known(r.Context())
			}
			p.Handler.ServeHTTP(w, r)
		}),
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		Protocols:         new(http.Protocols),
		ConnContext:       open.ConnContext,
		ConnState:         open.ConnState,
		// Handshake errors are logged at debug level only, because any pod can cause them.
		ErrorLog: slog.NewLogLogger(logr.ToSlogHandler(p.Log), slog.LevelDebug),
	}
	server.Protocols.SetHTTP1(true)
	security := &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, GetCertificate: p.Certificates.GetCertificate,
	}
	if err := httpserver.Until(ctx, server, tls.NewListener(listener, security)); err != nil {
		return fmt.Errorf("serving the webhook: %w", err)
	}
	return nil
}

// Ready is a healthz.Checker. It succeeds if the webhook can answer the API server's next call.
func (p *Port) Ready(request *http.Request) error {
	if err := p.Certificates.Ready(request); err != nil {
		return err // the port cannot be served without a certificate
	}
	dialer := tls.Dialer{
		NetDialer: &net.Dialer{Timeout: dialTimeout},
		Config:    &tls.Config{InsecureSkipVerify: true}, // #nosec G402 -- the check is whether anything answers
	}
	conn, err := dialer.DialContext(request.Context(), "tcp", net.JoinHostPort("localhost", strconv.Itoa(p.Number)))
	if err != nil {
		return errors.Join(errors.New("the webhook's port does not answer"), err)
	}
	return conn.Close()
}
