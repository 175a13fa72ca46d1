package registry

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"kind-local-registry/internal/serve"
)

// Serve serves handler on listener until ctx ends, and then lets the requests under way finish, for a while. It returns
// nil after that.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
	}
	if err := serve.Until(ctx, server, listener); err != nil {
		return fmt.Errorf("serving the registry: %w", err)
	}
	return nil
}
