package endpoint

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// maxStrangers is how many connections callers may have that are not known as the API server. It is far more than the API
// server opens at a time, one for each call in flight.
const maxStrangers = 512

// connections are the connections to the webhook's port, which is open to every pod. If there are too many, it closes the
// oldest one of the address with the most, so that a pod which opens thousands loses its own.
type connections struct {
	limit int

	mu        sync.Mutex
	strangers map[net.Conn]*connection
	opened    int
}

// connection is a connection of a caller that is not known yet.
type connection struct {
	conn   net.Conn
	number int // in the order in which they were opened
}

// newConnections returns connections of at most limit strangers.
func newConnections(limit int) *connections {
	return &connections{limit: limit, strangers: map[net.Conn]*connection{}}
}

// connKey is the key of a request's connection in its context.
type connKey struct{}

// ConnContext is http.Server.ConnContext: it adds a connection.
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

// ConnState is http.Server.ConnState: it removes closed connections.
func (c *connections) ConnState(conn net.Conn, state http.ConnState) {
	if state == http.StateClosed {
		c.forget(conn)
	}
}

// known marks the connection of the request's context as one of the API server, which is never closed.
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

// surplus returns the connection to close. The caller holds c.mu.
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

// cut closes the connection without a TLS alert, which would wait for the peer to read it.
func cut(conn net.Conn) {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	_ = conn.Close()
}
