package registry

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"kind-local-registry/config"
	"kind-local-registry/internal/gateway"
)

// guard refuses three kinds of requests that only an attacker would send. The first has a Host header that is not a name of the
// registry, which indicates DNS rebinding. The second is a write by a web page from another origin. The third is a write that
// does not come from the host, because pods may only read.
//
// Requests from pods come from their nodes' addresses. Requests from the host come from the gateway of the container's network,
// because that is where Docker's proxy for published ports connects from. The pusher uses a Unix socket.
type guard struct {
	next      http.Handler
	hosts     []string
	writeFrom []netip.Prefix
	gateways  func() []netip.Addr
	origins   *http.CrossOriginProtection
}

// newGuard returns a guard that protects next.
func newGuard(next http.Handler, c Config) *guard {
	hosts := []string{"localhost", config.RegistryContainer, "host.docker.internal"}
	for _, host := range c.Hosts {
		hosts = append(hosts, strings.ToLower(host))
	}
	return &guard{
		next: next, hosts: hosts, writeFrom: c.WriteFrom,
		gateways: gateway.Addresses,
		origins:  http.NewCrossOriginProtection(),
	}
}

// ServeHTTP passes the request to next, or refuses it with an error in the format of the OCI distribution specification.
func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case !g.isOurs(r.Host):
		refuse(w, http.StatusMisdirectedRequest, fmt.Sprintf("%q is not a name of this registry", r.Host))
	case isRead(r.Method):
		g.next.ServeHTTP(w, r)
	case g.origins.Check(r) != nil:
		refuse(w, http.StatusForbidden, "the registry refuses writes by web pages")
	case !g.mayWrite(r):
		refuse(w, http.StatusForbidden, "the registry is read-only for pods; push from the host, by default to "+
			config.RegistryHost(config.RegistryPort))
	default:
		g.next.ServeHTTP(w, r)
	}
}

// isOurs reports whether a Host header names the registry. Every IP address is accepted, because DNS rebinding requires a name.
func (g *guard) isOurs(header string) bool {
	host, _, err := net.SplitHostPort(header)
	if err != nil {
		host = strings.Trim(header, "[]")
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return slices.Contains(g.hosts, host) || strings.HasSuffix(host, ".localhost")
}

// isRead reports whether requests with this method change nothing.
func isRead(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// mayWrite reports whether the request comes through a Unix socket, from this host's loopback, from the container's default
// gateway, or from an address that the configuration allows.
func (g *guard) mayWrite(r *http.Request) bool {
	if fromSocket(r) {
		return true
	}
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	from := remote.Addr().Unmap().WithZone("")
	contains := func(prefix netip.Prefix) bool { return prefix.Contains(from) }
	return from.IsLoopback() || slices.ContainsFunc(g.writeFrom, contains) || slices.Contains(g.gateways(), from)
}

// refuse responds with the status and an error that registry clients show to their users
// (https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#error-codes).
func refuse(w http.ResponseWriter, status int, message string) {
	type fault struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string][]fault{"errors": {{Code: "DENIED", Message: message}}}) // fails only if the client has disconnected
}
