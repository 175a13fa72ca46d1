package endpoint

import (
	"context"
	"net"
	"net/http"
	"testing"
)

// pipe is a fake connection from host that records whether it was closed.
type pipe struct {
	net.Conn

	host   string
	closed bool
}

func (p *pipe) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.ParseIP(p.host), Port: 1} }

func (p *pipe) Close() error {
	p.closed = true
	return nil
}

func TestConnections_CloseTheOldestOfTheBusiestAddress(t *testing.T) {
	t.Parallel()
	c := newConnections(10)
	open := func(host string) (*pipe, context.Context) {
		conn := &pipe{host: host}
		return conn, c.ConnContext(t.Context(), conn)
	}
	known, ctx := open("10.0.0.1")
	c.known(ctx)
	fresh, _ := open("10.0.0.1")
	var flood []*pipe
	for range 1000 {
		conn, _ := open("10.0.0.2")
		flood = append(flood, conn)
	}
	if known.closed || fresh.closed {
		t.Error("a connection from another address was closed")
	}
	for i, conn := range flood {
		if want := i < len(flood)-9; conn.closed != want {
			t.Errorf("connection %d of 1000 is closed: %t, want %t", i, conn.closed, want)
		}
	}
	for _, conn := range flood {
		c.ConnState(conn, http.StateClosed)
	}
	if got := len(c.strangers); got != 1 {
		t.Errorf("%d strangers remain, want 1", got)
	}
}
