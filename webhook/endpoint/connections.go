package endpoint

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// maxStrangers is how many connections there may be of callers that have not proved to be the API server: so many that the
// API server, which opens one for each call under way, has not that many new ones at a time.
const maxStrangers = 512

// connections are those of the webhook's port, which is open to every pod. When there are too many, one is closed: the oldest
// of the address that has most, so that a pod which opens thousands loses its own.
type connections struct {
	most int

	mu        sync.Mutex
	strangers map[net.Conn]*connection
	opened    int
}

// connection is one of a caller that is not known yet.
type connection struct {
	conn   net.Conn
	number int // in the order in which they were opened
}

// newConnections returns connections of at most that many strangers.
func newConnections(most int) *connections {
	return &connections{most: most, strangers: map[net.Conn]*connection{}}
}

// connKey is the key of a request's connection in its context.
type connKey struct{}

// ConnContext is http.Server.ConnContext: it adds a connection.
func (c *connections) ConnContext(ctx context.Context, conn net.Conn) context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.opened++
	c.strangers[conn] = &connection{conn: conn, number: c.opened}
	if len(c.strangers) > c.most {
		surplus := c.surplus()
		delete(c.strangers, surplus)
		cut(surplus)
	}
	return context.WithValue(ctx, connKey{}, conn)
}

// ConnState is http.Server.ConnState: it forgets connections that are closed.
func (c *connections) ConnState(conn net.Conn, state http.ConnState) {
	if state == http.StateClosed {
		c.forget(conn)
	}
}

// known takes the connection of the request's context for one of the API server, which is not closed.
func (c *connections) known(ctx context.Context) {
	if conn, ok := ctx.Value(connKey{}).(net.Conn); ok {
		c.forget(conn)
	}
}

// forget takes the connection from the strangers.
func (c *connections) forget(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.strangers, conn)
}

// surplus returns the connection to close. c.mu is held.
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

// hostOf returns the address of the other end, without the port.
func hostOf(conn net.Conn) string {
	address := conn.RemoteAddr().String()
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return address
}

// cut closes the connection without a word: TLS would wait for the other end to take one.
func cut(conn net.Conn) {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	_ = conn.Close()
}
