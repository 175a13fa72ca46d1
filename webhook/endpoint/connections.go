package endpoint

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// maxStrangers limits the total number of connections from callers that are not known to be the API server. The API server needs
// far fewer, because it opens only one connection for each call in flight.
const maxStrangers = 512

// connections tracks the connections to the webhook's port, which every pod can reach. If there are too many, it finds the
// address with the most connections and closes that address's oldest one. So a pod that opens thousands of connections loses only
// its own.
type connections struct {
	limit int

	mu        sync.Mutex
	strangers map[net.Conn]*connection
	opened    int
}

// connection is a connection from a caller that is not yet known to be the API server.
type connection struct {
	conn   net.Conn
	number int // counts connections in the order in which they were opened
}

// newConnections returns connections that allow at most limit strangers.
func newConnections(limit int) *connections {
	return &connections{limit: limit, strangers: map[net.Conn]*connection{}}
}

// connKey is the context key for a request's connection.
type connKey struct{}

// ConnContext adds a connection. It is for http.Server.ConnContext.
func (c *connections) ConnContext(ctx context.Context, conn net.Conn) context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.opened++
	c.strangers[conn] = &connection{conn: conn, number: c.opened}
	if len(c.strangers) > c.limit {
		surplus := c.surplus()
		delete(c.strangers, surplus)
		cut(surplus)
	}
	return context.WithValue(ctx, connKey{}, conn)
}

// ConnState removes closed connections. It is for http.Server.ConnState.
func (c *connections) ConnState(conn net.Conn, state http.ConnState) {
	if state == http.StateClosed {
		c.forget(conn)
	}
}

// known marks the connection in the request's context as the API server's. Such a connection does not count towards the limit and
// is never closed because of it.
func (c *connections) known(ctx context.Context) {
	if conn, ok := ctx.Value(connKey{}).(net.Conn); ok {
		c.forget(conn)
	}
}

// forget removes the connection from the strangers.
func (c *connections) forget(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.strangers, conn)
}

// surplus returns the connection to close. The caller must hold c.mu.
func (c *connections) surplus() net.Conn {
	count, oldest := map[string]int{}, map[string]*connection{}
	var most string
	for _, opened := range c.strangers {
		host := hostOf(opened.conn)
		count[host]++
		if first := oldest[host]; first == nil || opened.number < first.number {
			oldest[host] = opened
		}
		if count[host] > count[most] {
			most = host
		}
	}
	return oldest[most].conn
}

// hostOf returns the peer's address without the port.
func hostOf(conn net.Conn) string {
	address := conn.RemoteAddr().String()
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return address
}

// cut closes the connection without sending a TLS alert, because sending it could block until the peer reads it.
func cut(conn net.Conn) {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	_ = conn.Close()
}
