package httpserver

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"
)

// grace is how long requests may take after the context has ended. docker stop kills a container after ten seconds.
const grace = 8 * time.Second

// Until serves on listener until ctx ends, then waits up to 8 seconds for requests in progress and returns nil. It returns an
// error if serving ends earlier.
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
		_ = server.Close() // requests in progress have had their time
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
