//go:build daemon

package daemon

import (
	"fmt"
	"io"
	"os"
	"testing"

	"kind-local-registry/internal/registry"
	"kind-local-registry/test/dockerd"
)

// daemon is a Docker daemon of the test's own.
type daemon struct {
	*dockerd.Daemon

	name string
	// sources is how many sources it has at least.
	sources int
}

// daemons are those that all tests share.
var daemons []*daemon //nolint:gochecknoglobals // set by TestMain, once

func TestMain(m *testing.M) {
	os.Exit(runAll(m))
}

// runAll runs the tests between the start and the end of the daemons.
func runAll(m *testing.M) int {
	if os.Geteuid() != 0 {
		fmt.Println("SKIP: only root can start a Docker daemon")
		return 0
	}
	if _, err := dockerd.Program(); err != nil && os.Getenv("DOCKERD") == "" {
		fmt.Println("SKIP: there is no dockerd (hack/docker.sh installs it)")
		return 0
	}
	for _, store := range []dockerd.Store{dockerd.Overlay2, dockerd.Containerd} {
		started, err := dockerd.Start(store, nil)
		if err != nil {
			fmt.Println("starting a daemon with", store, err)
			return 1
		}
		defer started.Stop()
		daemons = append(daemons, &daemon{Daemon: started, name: string(store), sources: 2})
	}
	registry.LogTo(io.Discard)
	return m.Run()
}
