package push

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"
)

const (
	// absence is how long a registry may be away from its socket while it is replaced: somewhat less than a lookup may take.
	absence = time.Second
	// redialEvery is how long it is, while it is away, until it is called again.
	redialEvery = 20 * time.Millisecond
)

// Dialer returns what connects to a registry or a pusher, which are on this machine: they take a connection at once, or are
// away for a moment, as when setup up replaces them. Whoever is not answered then tries anew: the kernel would send again
// after a second only (https://www.rfc-editor.org/rfc/rfc6298, 2.1), and an admission does not wait much longer.
func Dialer() *net.Dialer {
	return &net.Dialer{Timeout: 400 * time.Millisecond, KeepAlive: 15 * time.Second}
}

// dialSocket returns a dial function, as http.Transport wants it, that connects to a Unix socket whatever the address says.
// While the registry is replaced there is no socket, or nobody listens on it: it is called again until it is back.
func dialSocket(path string) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		waiting, cancel := context.WithTimeout(ctx, absence)
		defer cancel()
		for {
			connection, err := Dialer().DialContext(ctx, "unix", path)
			if err == nil || !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.ECONNREFUSED) {
				return connection, err
			}
			select {
			case <-waiting.Done():
				return nil, err
			case <-time.After(redialEvery):
			}
		}
	}
}
