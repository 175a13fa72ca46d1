package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// lockRetry is the interval between attempts to take the lock.
	lockRetry = 100 * time.Millisecond
	// patience is how long lock waits before it calls waiting.
	patience = time.Second
)

// lock waits until no other setup is changing the Docker host behind the socket, and then takes the lock. After one second it
// calls waiting with a description of the process that holds the lock. The kernel releases the lock when that process ends, even
// if it is killed.
//
// It locks the socket's directory, because every user of the daemon can open that directory, and locking requires no write
// permission. A lock file would belong to one user, and other users could not open it. In a shared directory, it could also be a
// link that another user placed there.
func lock(ctx context.Context, socket string, waiting func(holder string)) (unlock func() error, err error) {
	directory, err := os.Open(filepath.Dir(socket))
	if err != nil {
		return nil, fmt.Errorf("locking the directory of Docker's socket: %w", err)
	}
	if err := await(ctx, directory, waiting); err != nil {
		return nil, errors.Join(fmt.Errorf("locking %s: %w", directory.Name(), err), directory.Close())
	}
	return directory.Close, nil
}

// await locks an open file as soon as the lock is free. It returns an error if ctx ends first.
func await(ctx context.Context, file *os.File, waiting func(holder string)) error {
	tick := time.NewTicker(lockRetry)
	defer tick.Stop()
	for start, told := time.Now(), false; ; {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB) // #nosec G115 -- a file descriptor fits an int
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return err
		}
		if !told && time.Since(start) >= patience {
			waiting(holder(file))
			told = true
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// holder describes the process that holds the file's lock, or returns "another process" if the kernel does not show which.
func holder(file *os.File) string {
	const unknown = "another process"
	var status unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &status); err != nil { // #nosec G115 -- a file descriptor fits an int
		return unknown
	}
	locks, err := os.ReadFile("/proc/locks") // see proc_locks(5); exists only on Linux
	if err != nil {
		return unknown
	}
	id := lockHolder(string(locks), status.Ino)
	if id == 0 {
		return unknown
	}
	who := fmt.Sprintf("process %d", id)
	command, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", id))
	if words := bytes.ReplaceAll(bytes.TrimRight(command, "\x00"), []byte{0}, []byte{' '}); err == nil && len(words) > 0 {
		who += fmt.Sprintf(" (%s)", words)
	}
	return who
}

// lockHolder returns the ID of the process that holds the flock on the inode, or 0 if the table does not show it.
func lockHolder(table string, inode uint64) int {
	for line := range strings.Lines(table) {
		// 1: FLOCK  ADVISORY  WRITE 4711 00:19:1 0 EOF
		fields := strings.Fields(line)
		if len(fields) < 6 || fields[1] != "FLOCK" || !strings.HasSuffix(fields[5], fmt.Sprintf(":%d", inode)) {
			continue
		}
		if id, err := strconv.Atoi(fields[4]); err == nil && id > 0 {
			return id
		}
	}
	return 0
}
