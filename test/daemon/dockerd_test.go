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

// daemon is a Docker daemon that the tests have started.
type daemon struct {
	*dockerd.Daemon

	name string
	// sources is the minimum number of sources that the daemon must have for an image.
	sources int
}

// daemons are the daemons that all tests share.
var daemons []*daemon //nolint:gochecknoglobals // set by TestMain, once

func TestMain(m *testing.M) {
	os.Exit(runAll(m))
}

// runAll starts the daemons, runs the tests and stops the daemons.
func runAll(m *testing.M) int {
	if os.Geteuid() != 0 {
		fmt.Println("SKIP: only root can start a Docker daemon")
		return 0
	}
	if _, err := dockerd.Program(); err != nil && os.Getenv("DOCKERD") == "" {
		fmt.Println("SKIP: no dockerd found (hack/docker.sh installs it)")
		return 0
	}
	for _, store := range []dockerd.Store{dockerd.Overlay2, dockerd.Containerd} {
		started, err := dockerd.Start(store, nil)
		if err != nil {
			fmt.Printf("starting a daemon with %s: %v\n", store, err)
			return 1
		}
		defer started.Stop()
		daemons = append(daemons, &daemon{Daemon: started, name: string(store), sources: 2})
	}
	registry.LogTo(io.Discard)
	return m.Run()
}
