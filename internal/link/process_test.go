package link

import (
	"os"
	"testing"

	"kind-local-registry/internal/host/engine/enginetest"
)

func TestListenerProcess_IsTheOneBehindTheSocket(t *testing.T) {
	t.Parallel()
	if got, err := listenerProcess(t.Context(), enginetest.New(t).Host()); err != nil || got != os.Getpid() {
		t.Errorf("listenerProcess = %d, %v, want this process, %d", got, err, os.Getpid())
	}
	if got, err := listenerProcess(t.Context(), "tcp://127.0.0.1:2375"); err != nil || got != firstProcess {
		t.Errorf("listenerProcess of a TCP address = %d, %v, want %d", got, err, firstProcess)
	}
	if got, err := listenerProcess(t.Context(), "unix:///does/not/exist"); err == nil {
		t.Errorf("listenerProcess without a socket = %d, want an error", got)
	}
}
