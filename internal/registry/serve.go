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

// Serve serves handler on the listeners until ctx ends, and then lets the requests under way finish, for a while. It returns
// nil after that.
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

// ListenSocket listens on a Unix socket at path. Whoever reaches its directory may write to the registry, under whatever user:
// with user namespaces, root of one container is another user than root of another. A socket that is there, left by an
// earlier process, is replaced.
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
		return nil, fmt.Errorf("listening on socket: %w", err)
	}
	// The next process may have its own socket there by the time this one ends.
	if socket, ok := listener.(*net.UnixListener); ok {
		socket.SetUnlinkOnClose(false)
	}
	if err := os.Chmod(path, 0o666); err != nil { // #nosec G302 -- its directory restricts it
		return nil, errors.Join(fmt.Errorf("opening socket %s to all users: %w", path, err), listener.Close())
	}
	return listener, nil
}
