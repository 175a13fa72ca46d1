package push

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"
)

const (
	// maxAbsence is how long a dial waits for a registry that is being recreated. It is slightly shorter than a lookup's time
	// limit.
	maxAbsence = time.Second
	// redialInterval is the pause between two attempts to connect.
	redialInterval = 20 * time.Millisecond
)

// Dialer returns a dialer for a registry or a pusher on this machine. Both accept a connection immediately, except for a moment
// while setup up recreates them. The timeout is short so that the caller retries soon. The kernel would retry only after a second
// (https://www.rfc-editor.org/rfc/rfc6298, 2.1), and an admission request cannot wait much longer than a second.
func Dialer() *net.Dialer {
	return &net.Dialer{Timeout: 400 * time.Millisecond, KeepAlive: 15 * time.Second}
}

// dialSocket returns a dial function for http.Transport that always connects to the Unix socket at path and ignores the
// address. While the registry is being recreated, the socket does not exist or refuses connections. The function then retries
// for up to maxAbsence.
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
