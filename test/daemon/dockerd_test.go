//go:build daemon

package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"kind-local-registry/internal/docker"
	"kind-local-registry/internal/registry"
)

// dockerd is a daemon of the test's own.
type dockerd struct {
	name string
	root string
	host string
	// sources is how many sources it has at least.
	sources int
	api     *client.Client
}

// daemons are those that all tests share.
var daemons []*dockerd //nolint:gochecknoglobals // set by TestMain, once

func TestMain(m *testing.M) {
	os.Exit(runAll(m))
}

// runAll runs the tests between the start and the end of the daemons.
func runAll(m *testing.M) int {
	if os.Geteuid() != 0 {
		fmt.Println("SKIP: only root can start a Docker daemon")
		return 0
	}
	if _, err := exec.LookPath("dockerd"); err != nil {
		fmt.Println("SKIP: there is no dockerd (hack/docker.sh installs it)")
		return 0
	}
	for name, features := range map[string]map[string]bool{
		"overlay2":   {"containerd-snapshotter": false},
		"containerd": {"containerd-snapshotter": true},
	} {
		started, stop, err := startDockerd(name, features, nil)
		if err != nil {
			fmt.Println("starting a daemon with", name, err)
			return 1
		}
		defer stop()
		daemons = append(daemons, started)
	}
	registry.LogTo(io.Discard)
	return m.Run()
}

// startDockerd starts a daemon beside any other: it has its own directories, and makes no network. prepare, where it is not
// nil, is given the directory of its data before that is used.
func startDockerd(name string, features map[string]bool, prepare func(data string) error) (d *dockerd, stop func(), err error) {
	root, err := os.MkdirTemp("", "klr-"+name+"-")
	if err != nil {
		return nil, nil, err
	}
	data := filepath.Join(root, "data")
	if prepare != nil {
		if err := errors.Join(os.Mkdir(data, 0o700), prepare(data)); err != nil {
			return nil, nil, err
		}
	}
	config, err := json.Marshal(map[string]any{"features": features})
	if err != nil {
		return nil, nil, err
	}
	if err := os.WriteFile(filepath.Join(root, "daemon.json"), config, 0o600); err != nil {
		return nil, nil, err
	}
	bridge := "klr-" + name[:4]
	// Not --bridge=none: that would take docker0 away from the daemon that has it.
	if out, err := exec.Command("ip", "link", "add", "name", bridge, "type", "bridge").CombinedOutput(); err != nil {
		return nil, nil, fmt.Errorf("making bridge %s: %w: %s", bridge, err, out)
	}
	_ = exec.Command("ip", "address", "add", "10.213."+fmt.Sprint(len(daemons))+".1/24", "dev", bridge).Run()
	log, err := os.Create(filepath.Join(root, "dockerd.log"))
	if err != nil {
		return nil, nil, err
	}
	d = &dockerd{name: name, sources: 2, root: data, host: "unix://" + filepath.Join(root, "docker.sock")}
	command := exec.Command("dockerd", "--config-file", filepath.Join(root, "daemon.json"),
		"--data-root", d.root, "--exec-root", filepath.Join(root, "exec"), "--pidfile", filepath.Join(root, "pid"),
		"--host", d.host, "--bridge", bridge, "--iptables=false", "--ip6tables=false", "--ip-masq=false")
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		return nil, nil, err
	}
	stop = func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		_ = command.Wait()
		_ = exec.Command("ip", "link", "delete", bridge).Run()
		_ = os.RemoveAll(root)
	}
	if d.api, err = client.New(client.WithHost(d.host)); err == nil {
		err = d.await()
	}
	if err != nil {
		output, _ := os.ReadFile(log.Name())
		stop()
		return nil, nil, fmt.Errorf("%w; its log:\n%s", err, output)
	}
	return d, stop, nil
}

// await waits until the daemon answers.
func (d *dockerd) await() (err error) {
	for range 120 {
		if _, err = d.api.Ping(context.Background(), client.PingOptions{}); err == nil {
			return nil
		}
		time.Sleep(250 * time.Millisecond)
	}
	return fmt.Errorf("no answer: %w", err)
}

// load loads an archive, as docker load does.
func (d *dockerd) load(t *testing.T, archive io.Reader) {
	t.Helper()
	loaded, err := d.api.ImageLoad(t.Context(), archive)
	if err != nil {
		t.Fatalf("%s: loading: %v", d.name, err)
	}
	answer, err := io.ReadAll(loaded)
	if closed := loaded.Close(); err != nil || closed != nil {
		t.Fatalf("%s: loading: %v, %v", d.name, err, closed)
	}
	if strings.Contains(string(answer), `"error"`) {
		t.Fatalf("%s: loading: %s", d.name, answer)
	}
}

// client returns what is tested, on this daemon.
func (d *dockerd) client(t *testing.T) *docker.Client {
	t.Helper()
	c, err := docker.New(d.host)
	if err != nil {
		t.Fatalf("%s: %v", d.name, err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}
