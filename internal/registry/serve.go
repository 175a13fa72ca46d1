package registry

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"kind-local-registry/internal/httpserver"
)

// Serve serves handler on the listeners until ctx ends, then waits a few seconds for requests in progress and returns nil. It
// returns an error if serving ends before ctx does.
func Serve(ctx context.Context, handler http.Handler, listeners ...net.Listener) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, listener := range listeners {
		server := &http.Server{
			Handler:           handler,
			ReadHeaderTimeout: 10 * time.Second,
			IdleTimeout:       2 * time.Minute,
		}
		group.Go(func() error { return httpserver.Until(ctx, server, listener) })
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("serving the registry: %w", err)
	}
	return nil
}
