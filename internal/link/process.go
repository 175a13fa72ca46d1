package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"golang.org/x/sys/unix"
)

// firstProcess is the ID of the host's first process.
const firstProcess = 1

// listenerProcess returns the ID of the process that listens at the Docker daemon's address: dockerd or, with socket activation,
// the host's first process. The process sees the paths that dockerd reports.
func listenerProcess(ctx context.Context, address string) (int, error) {
	socket, isSocket := strings.CutPrefix(address, "unix://")
	if !isSocket {
		return firstProcess, nil
	}
	connection, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return 0, err
	}
	defer func() { _ = connection.Close() }()
	raw, err := connection.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	var listener *unix.Ucred
	var asking error
	err = raw.Control(func(fd uintptr) {
		listener, asking = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err := errors.Join(err, asking); err != nil {
		return 0, fmt.Errorf("finding the process that listens at %s: %w", address, err)
	}
	if listener.Pid == 0 { // it is in another PID namespace
		return firstProcess, nil
	}
	return int(listener.Pid), nil
}
