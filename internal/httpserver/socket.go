package httpserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
)

// ListenSocket listens on a Unix socket at path. It replaces a socket that an earlier process left there. Any user who can
// reach the socket's directory may connect, because with user namespaces root has a different ID in each
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
