package pusher

import (
	"context"
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

// LengthenPauses delays the pushes of promised images until the service is closed.
func (s *Service) LengthenPauses() { s.pauses.first = time.Hour }

// Send sends an event to the consumers of Events.
func (s *Service) Send(event Event) { s.events.send(event) }

// EventsFrom is like Events, and calls connected when it would receive an event.
func (s *Service) EventsFrom(ctx context.Context, connected func(), each func(Event)) error {
	feed := s.events.subscribe()
	connected()
	return s.consume(ctx, feed, each)
}

// MaxUnread is how many events wait for a consumer of Events.
const MaxUnread = maxUnread

// AwaitPromises waits until every promised image has been pushed, or its promise withdrawn.
func (s *Service) AwaitPromises() { s.background.Wait() }

// HandlerWithGateway returns the handler of a server whose host has the address gateway.
func HandlerWithGateway(service *Service, pruner *disk.Pruner, gateway string) http.Handler {
	server := NewServer(service, slog.New(slog.DiscardHandler))
	server.UsePruner(pruner)
	server.gateways = func() []netip.Addr { return []netip.Addr{netip.MustParseAddr(gateway)} }
	return server.handler()
}
