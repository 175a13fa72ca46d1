package docker

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

func TestAwaitLoss_ReturnsWhenAMountedSocketIsRemoved(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		then func(*socket)
		want bool
	}{
		"the daemon runs":                         {func(*socket) {}, false},
		"the daemon stopped":                      {func(s *socket) { s.close(); s.remove() }, true},
		"the daemon was killed":                   {func(s *socket) { s.close() }, false},
		"the daemon was killed and started again": {func(s *socket) { s.close(); s.remove(); s.listen() }, true},
		"the daemon listens on a removed socket":  {func(s *socket) { s.remove() }, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &socket{T: t, path: filepath.Join(t.TempDir(), "docker.sock")}
			s.listen()
			mounted := s.mount()
			time.AfterFunc(time.Minute, func() { test.then(s) })
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			start := time.Now()
			err := AwaitLoss(ctx, "unix://"+mounted)
			if got := err != nil; got != test.want {
				t.Fatalf("%s: AwaitLoss = %v, want an error: %t", name, err, test.want)
			}
			if took := time.Since(start); test.want && took > time.Minute+socketCheckInterval {
				t.Errorf("%s: noticed after %s, want within %s", name, took-time.Minute, socketCheckInterval)
			}
		})
	}
}

// A pusher outside a container finds the new socket of a restarted daemon at the same path.
func TestAwaitLoss_IgnoresSocketsThatAreNotMounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, host := range []string{"unix://" + filepath.Join(t.TempDir(), "docker.sock"), "tcp://127.0.0.1:2375"} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			if err := AwaitLoss(ctx, host); err != nil {
				t.Errorf("AwaitLoss(%s) = %v", host, err)
			}
			cancel()
		}
	})
}

// socket is a fake daemon's socket.
type socket struct {
	*testing.T

	path     string
	listener *net.UnixListener
}

// listen creates the socket.
func (s *socket) listen() {
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: s.path})
	if err != nil {
		s.Error(err)
		return
	}
	listener.SetUnlinkOnClose(false)
	s.listener = listener
	s.Cleanup(s.close)
}

// close closes the listener and keeps the socket file.
func (s *socket) close() { _ = s.listener.Close() }

// remove removes the socket file from its directory.
func (s *socket) remove() {
	if err := os.Remove(s.path); err != nil {
		s.Error(err)
	}
}

// mount returns another path to the socket. Like a bind mount, this path remains when the socket file is removed.
func (s *socket) mount() string {
	s.Helper()
	descriptor, err := unix.Open(s.path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = unix.Close(descriptor) })
	return fmt.Sprintf("/proc/self/fd/%d", descriptor)
}
