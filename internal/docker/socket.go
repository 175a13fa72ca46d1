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

// socketCheck is how often the daemon's socket is looked at.
const socketCheck = time.Second

// AwaitLoss waits until the socket at host, such as unix:///var/run/docker.sock, can never answer again, and returns that as
// an error; nil when ctx ends. A daemon that starts makes a new socket, and a container has the old one mounted until it
// starts too, which it does not where the daemon leaves containers running (live-restore).
func AwaitLoss(ctx context.Context, host string) error {
	path, isSocket := strings.CutPrefix(host, "unix://")
	if !isSocket {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(socketCheck)
	defer tick.Stop()
	for {
		if lost(ctx, path) {
			return fmt.Errorf("the Docker daemon has removed the socket %s that is mounted here", path)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// lost reports whether the socket was removed from its directory on the host, and has no listener. One that is not there at
// all is not mounted, and comes back with the daemon.
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
		_ = connection.Close() // it was only to see whether anything listens
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}
