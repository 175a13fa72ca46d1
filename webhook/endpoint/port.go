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
	// headerTimeout is how long a TLS handshake, and then the header of a request, may take.
	headerTimeout = 5 * time.Second
	// idleTimeout is how long an idle connection is kept: as long as the API server keeps it.
	idleTimeout = 90 * time.Second
	// maxHeader is the largest header of a request in bytes. The API server sends some hundreds.
	maxHeader = 8 << 10
	// dialTimeout is how long the process may take to answer itself.
	dialTimeout = 5 * time.Second
)

// Certificates is the source of the serving certificate, a *certs.Keeper.
type Certificates interface {
	// GetCertificate is tls.Config.GetCertificate.
	GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error)
	// Ready is a healthz.Checker. It fails until a certificate is served.
	Ready(request *http.Request) error
}

// Port serves a Handler over HTTPS, in HTTP/1.1 as the API server asks for. It is a manager.Runnable.
type Port struct {
	// Number is the TCP port, on all addresses.
	Number int
	// Handler answers the requests.
	Handler *Handler
	// Certificates provides the serving certificate.
	Certificates Certificates
	// Log takes errors.
	Log logr.Logger
}

// NeedLeaderElection implements manager.LeaderElectionRunnable: every replica serves.
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
		// Any pod can cause handshake errors.
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

// Ready is a healthz.Checker. It succeeds while the webhook would answer the API server's next call.
func (p *Port) Ready(request *http.Request) error {
	if err := p.Certificates.Ready(request); err != nil {
		return err // without a certificate nothing serves
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
