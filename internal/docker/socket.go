package docker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// socketCheckInterval is the time between two checks of the daemon's socket.
const socketCheckInterval = time.Second

// AwaitLoss waits until the daemon's socket can never accept a connection again, and then returns an error. host is the socket's
// address, such as unix:///var/run/docker.sock. AwaitLoss returns nil when ctx ends. A daemon creates a new socket when it
// starts. A container keeps the old socket mounted until the container restarts. With live-restore, the daemon restarts without
// restarting its containers.
func AwaitLoss(ctx context.Context, host string) error {
	path, isSocket := strings.CutPrefix(host, "unix://")
	if !isSocket {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(socketCheckInterval)
	defer tick.Stop()
	for {
		if lost(ctx, path) {
			return fmt.Errorf("the Docker daemon has removed the mounted socket %s", path)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// lost reports whether the socket was removed from its directory on the host and has no listener. It reports false if the path
// does not exist: the path is then not a mounted socket, and appears again when the daemon starts.
func lost(ctx context.Context, path string) bool {
	info, err := os.Stat(path)
	if err != nil {
		return false
	}
	status, known := info.Sys().(*syscall.Stat_t)
	if !known || status.Nlink > 0 {
		return false
	}
	connection, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err == nil {
		_ = connection.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}
