package httpserver

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"
)

// grace is how long requests in progress may take after the context has ended. It is shorter than the 10 seconds after which
// docker stop kills a container.
const grace = 8 * time.Second

// Until serves on listener until ctx ends, then waits up to 8 seconds for requests in progress and returns nil. It returns an
// error if serving ends before ctx does.
func Until(ctx context.Context, server *http.Server, listener net.Listener) error {
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if server.Shutdown(last) != nil {
		_ = server.Close() // ends the requests that took longer than grace
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
