package push

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"
)

const (
	// maxAbsence is how long a dial waits for a registry that is being recreated: somewhat less than a lookup may take.
	maxAbsence = time.Second
	// redialInterval is the pause between two attempts to connect.
	redialInterval = 20 * time.Millisecond
)

// Dialer returns a dialer for a registry or a pusher on this machine. They accept a connection immediately, or are down for a
// moment while setup up recreates them. The timeout is short so that the caller retries soon: the kernel would retry after a
// second (https://www.rfc-editor.org/rfc/rfc6298, 2.1), and an admission does not wait much longer.
func Dialer() *net.Dialer {
	return &net.Dialer{Timeout: 400 * time.Millisecond, KeepAlive: 15 * time.Second}
}

// dialSocket returns a dial function for http.Transport that connects to a Unix socket, whatever the address. While the
// registry is recreated, the socket does not exist or refuses connections: the function retries until the registry is back.
func dialSocket(path string) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		waiting, cancel := context.WithTimeout(ctx, maxAbsence)
		defer cancel()
		for {
			connection, err := Dialer().DialContext(ctx, "unix", path)
			if err == nil || !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.ECONNREFUSED) {
				return connection, err
			}
			select {
			case <-waiting.Done():
				return nil, err
			case <-time.After(redialInterval):
			}
		}
	}
}
