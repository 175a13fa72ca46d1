package registry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"kind-local-registry/internal/httpserver"
)

// Serve serves handler on the listeners until ctx ends, then waits for requests in progress for a few seconds and returns nil.
// It returns an error if serving ends earlier.
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

// ListenSocket listens on a Unix socket at path. Any user who can reach its directory may write to the registry: with user
// namespaces, root differs from container to container. It replaces a socket that an earlier process left at path.
func ListenSocket(ctx context.Context, path string) (net.Listener, error) {
	info, err := os.Lstat(path)
	if err == nil && info.Mode().Type() == fs.ModeSocket {
		err = os.Remove(path)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("replacing socket %s: %w", path, err)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("listening on socket %s: %w", path, err)
	}
	// By the time this process ends, the next one may already listen at path.
	if socket, ok := listener.(*net.UnixListener); ok {
		socket.SetUnlinkOnClose(false)
	}
	if err := os.Chmod(path, 0o666); err != nil { // #nosec G302 -- its directory restricts it
		return nil, errors.Join(fmt.Errorf("opening socket %s to all users: %w", path, err), listener.Close())
	}
	return listener, nil
}
