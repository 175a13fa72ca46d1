package push

import (
	"net"
	"time"
)

// Dialer returns what connects to a registry or a pusher, which are on this machine: they take a connection at once, or are
// away for a moment, as when setup up replaces them. Whoever is not answered then tries anew: the kernel would send again
// after a second only (https://www.rfc-editor.org/rfc/rfc6298, 2.1), and an admission does not wait much longer.
func Dialer() *net.Dialer {
	return &net.Dialer{Timeout: 400 * time.Millisecond, KeepAlive: 15 * time.Second}
}
