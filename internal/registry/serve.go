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

// ListenSocket listens on a Unix socket at path. It replaces a socket that an earlier process left there. Any user who can
// reach the socket's directory may write to the registry, because with user namespaces root has a different ID in each
// container.
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
	// The socket is not removed on close, because the next process may already be listening at path by then.
	if socket, ok := listener.(*net.UnixListener); ok {
		socket.SetUnlinkOnClose(false)
	}
	if err := os.Chmod(path, 0o666); err != nil { // #nosec G302 -- the directory's mode restricts access
		return nil, errors.Join(fmt.Errorf("opening socket %s to all users: %w", path, err), listener.Close())
	}
	return listener, nil
}
