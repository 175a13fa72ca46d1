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

// AwaitLoss waits until the socket at an address such as unix:///var/run/docker.sock can never answer again, and returns an
// error then, or nil when ctx ends. A daemon that starts makes a new socket. A container keeps the old one mounted until the
// container restarts, which it does not if the daemon keeps containers running (live-restore).
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

// lost reports whether the socket was removed from its directory on the host and has no listener. A path that does not exist is
// no mounted socket: it appears again with the daemon.
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
