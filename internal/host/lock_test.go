package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestLock_BlocksTheNextUntilUnlocked(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "docker.sock")
	synctest.Test(t, func(t *testing.T) {
		unlock := mustLock(t, socket, nil)
		var told []string
		locked := make(chan time.Time)
		start := time.Now()
		go func() {
			unlock := mustLock(t, socket, func(holder string) { told = append(told, holder) })
			locked <- time.Now()
			if err := unlock(); err != nil {
				t.Error(err)
			}
		}()
		time.Sleep(time.Minute) // synctest's fake clock
		if err := unlock(); err != nil {
			t.Fatal(err)
		}
		if waited := (<-locked).Sub(start); waited < time.Minute || waited > time.Minute+lockRetry {
			t.Errorf("the second caller got the lock after %s, want it as soon as the first unlocks it after a minute", waited)
		}
		if len(told) != 1 || !strings.Contains(told[0], fmt.Sprintf("process %d (", os.Getpid())) {
			t.Errorf("the second caller waited for %q, want process %d once", told, os.Getpid())
		}
	})
}

func TestLock_IsSilentIfFree(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "docker.sock")
	for range 2 {
		unlock := mustLock(t, socket, func(holder string) { t.Errorf("waiting for %s", holder) })
		if err := unlock(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLock_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "docker.sock")
	synctest.Test(t, func(t *testing.T) {
		unlock := mustLock(t, socket, nil)
		defer func() { _ = unlock() }()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, err := lock(ctx, socket, func(string) {}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("lock = %v, want %v", err, context.DeadlineExceeded)
		}
	})
}

func TestLockHolder_FindsProcessInTable(t *testing.T) {
	t.Parallel()
	const table = `1: POSIX  ADVISORY  WRITE 17 fe:00:5 0 EOF
2: FLOCK  ADVISORY  WRITE 4711 00:19:1 0 EOF
2: -> FLOCK  ADVISORY  WRITE 4712 00:19:1 0 EOF
3: FLOCK  ADVISORY  WRITE -1 00:19:2 0 EOF
`
	for inode, want := range map[uint64]int{1: 4711, 2: 0, 5: 0, 9: 0} {
		if got := lockHolder(table, inode); got != want {
			t.Errorf("lockHolder(%d) = %d, want %d", inode, got, want)
		}
	}
}

// mustLock takes the lock. It fails the test if lock returns an error.
func mustLock(t *testing.T, socket string, waiting func(holder string)) (unlock func() error) {
	t.Helper()
	unlock, err := lock(t.Context(), socket, waiting)
	if err != nil {
		t.Error(err)
		return func() error { return nil }
	}
	return unlock
}
