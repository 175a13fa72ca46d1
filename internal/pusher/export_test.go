package pusher

import (
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"kind-local-registry/internal/disk"
)

// ShortenPauses lets the pushes of promised images start and retry soon.
func (s *Service) ShortenPauses() {
	s.pauses = pauses{first: time.Millisecond, retryMin: time.Millisecond, retryMax: 10 * time.Millisecond}
}

// AwaitPromises waits until every promised image has been pushed, or its promise withdrawn.
func (s *Service) AwaitPromises() { s.background.Wait() }

// HandlerWithGateway returns the handler of a server whose host has the address gateway.
func HandlerWithGateway(service *Service, pruner *disk.Pruner, gateway string) http.Handler {
	server := NewServer(service, slog.New(slog.DiscardHandler))
	server.UsePruner(pruner)
	server.gateways = func() []netip.Addr { return []netip.Addr{netip.MustParseAddr(gateway)} }
	return server.handler()
}
