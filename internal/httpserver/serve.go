package httpserver

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"
)

// grace is how long requests may go on after the context has ended: less than the ten seconds that docker stop waits.
const grace = 8 * time.Second

// Until serves on listener until ctx ends, and then lets the requests under way finish, for a while. It returns nil after
// that, and an error where serving ended before.
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
		_ = server.Close() // whoever is still there has had his time
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
