package dockerd

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"kind-local-registry/internal/docker"
	"kind-local-registry/internal/push"
	"kind-local-registry/internal/pusher"
	"kind-local-registry/internal/rules"
)

// Store is one of Docker's image stores.
type Store string

// Docker 26 and Docker 29 support both of these image stores.
const (
	Overlay2   Store = "overlay2"   // Docker's own store with the overlay2 driver, the default in Docker 26
	Containerd Store = "containerd" // the containerd image store, the default in Docker 29
)

// Daemon is a running Docker daemon.
type Daemon struct {
	Root string // data directory, such as /var/lib/docker
	Host string // address of the socket, as in DOCKER_HOST
	API  *client.Client

	process *exec.Cmd
	bridge  string
}

// Program returns the path of the dockerd program that Start runs.
func Program() (string, error) { return exec.LookPath(cmp.Or(os.Getenv("DOCKERD"), "dockerd")) }

// Start starts a daemon with its own directories and with a network that has no access to other networks. If prepare is not nil,
// Start calls it with the data directory before it starts the daemon. The caller must call Stop.
func Start(store Store, prepare func(data string) error) (*Daemon, error) {
	return StartWith(store, nil, prepare)
}

// StartWith is like Start, with additional settings for daemon.json.
func StartWith(store Store, settings map[string]any, prepare func(data string) error) (d *Daemon, err error) {
	directory, err := os.MkdirTemp("", "klr-"+string(store)+"-")
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(directory, 0o711); err != nil { // #nosec G302 -- a daemon with remapped users keeps their files below this directory
		return nil, err
	}
	starting := &Daemon{Root: filepath.Join(directory, "data"), Host: "unix://" + filepath.Join(directory, "docker.sock")}
	defer func() {
		if err != nil {
			starting.Stop()
		}
	}()
	d = starting
	if prepare != nil {
		if err := errors.Join(os.Mkdir(d.Root, 0o700), prepare(d.Root)); err != nil {
			return nil, err
		}
	}
	if err := d.addBridge(); err != nil {
		return nil, err
	}
	if err := d.configure(store, settings); err != nil {
		return nil, err
	}
	if d.API, err = client.New(client.WithHost(d.Host)); err != nil {
		return nil, err
	}
	return d, d.launch()
}

// Restart stops the daemon and starts it again. Its containers keep running if live-restore is enabled.
func (d *Daemon) Restart() error {
	if err := d.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	_ = d.process.Wait() // Wait returns an error because a signal ended the process
	return d.launch()
}

// addBridge creates a network bridge for the daemon. The option --bridge=none is no alternative, because it would remove docker0,
// which the host's daemon uses. The tests of several packages may run at the same time, so addBridge takes the first free name.
func (d *Daemon) addBridge() error {
	for n := 1; n < 255; n++ {
		bridge := fmt.Sprintf("klr-test%d", n)
		out, err := exec.Command("ip", "link", "add", "name", bridge, "type", "bridge").CombinedOutput()
		if strings.Contains(string(out), "File exists") {
			continue
		}
		if err != nil {
			return fmt.Errorf("creating bridge %s: %w: %s", bridge, err, out)
		}
		d.bridge = bridge
		if out, err := exec.Command("ip", "address", "add", fmt.Sprintf("10.213.%d.1/24", n), "dev", bridge).CombinedOutput(); err != nil {
			return fmt.Errorf("adding an address to bridge %s: %w: %s", bridge, err, out)
		}
		return nil
	}
	return errors.New("creating a bridge: the names klr-test1 to klr-test254 are all in use; remove them with ip link delete")
}

// configure writes the daemon's configuration.
func (d *Daemon) configure(store Store, settings map[string]any) error {
	all := map[string]any{"features": map[string]bool{"containerd-snapshotter": store == Containerd}}
	maps.Copy(all, settings)
	config, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(filepath.Dir(d.Root), "daemon.json"), config, 0o600)
}

// launch starts the program and waits until the daemon answers. In the daemon's PATH, dockerd's own directory comes first, so
// that the daemon runs the other programs of the same release.
func (d *Daemon) launch() error {
	program, err := Program()
	if err != nil {
		return err
	}
	directory := filepath.Dir(d.Root)
	log, err := os.Create(filepath.Join(directory, "dockerd.log"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the daemon has its own file descriptor
	command := exec.Command(program, "--config-file", filepath.Join(directory, "daemon.json"),
		"--data-root", d.Root, "--exec-root", filepath.Join(directory, "exec"), "--pidfile", filepath.Join(directory, "pid"),
		"--host", d.Host, "--bridge", d.bridge, "--iptables=false", "--ip6tables=false", "--ip-masq=false")
	command.Env = append(os.Environ(), "PATH="+filepath.Dir(program)+":"+os.Getenv("PATH"))
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		return err
	}
	d.process = command
	if err := d.await(); err != nil {
		output, _ := os.ReadFile(log.Name())
		return fmt.Errorf("%w; its log:\n%s", err, output)
	}
	return nil
}

// await waits until the daemon answers.
func (d *Daemon) await() (err error) {
	for range 120 {
		if _, err = d.API.Ping(context.Background(), client.PingOptions{}); err == nil {
			return nil
		}
		time.Sleep(250 * time.Millisecond)
	}
	return fmt.Errorf("waiting for the daemon: %w", err)
}

// Stop stops the daemon and removes its directories and network.
func (d *Daemon) Stop() {
	if d.process != nil {
		_ = d.process.Process.Signal(syscall.SIGTERM)
		_ = d.process.Wait()
	}
	if d.bridge != "" {
		_ = exec.Command("ip", "link", "delete", d.bridge).Run()
	}
	_ = exec.Command("umount", "--quiet", "--lazy", d.Root).Run() // a daemon with live-restore leaves this directory mounted
	_ = os.RemoveAll(filepath.Dir(d.Root))
}

// Signal sends a signal to the daemon.
func (d *Daemon) Signal(signal os.Signal) error { return d.process.Process.Signal(signal) }

// Suspend sends SIGSTOP to the daemon and returns when all its threads have stopped. SIGCONT resumes the daemon.
func (d *Daemon) Suspend() error {
	if err := d.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	_, err := syscall.Wait4(d.process.Process.Pid, nil, syscall.WUNTRACED, nil)
	return err
}

// Load loads an image archive, like docker load.
func (d *Daemon) Load(t testing.TB, archive io.Reader) {
	t.Helper()
	loaded, err := d.API.ImageLoad(t.Context(), archive)
	if err != nil {
		t.Fatalf("loading into %s: %v", d.Host, err)
	}
	answer, err := io.ReadAll(loaded)
	if closed := loaded.Close(); err != nil || closed != nil {
		t.Fatalf("loading into %s: %v, %v", d.Host, err, closed)
	}
	if strings.Contains(string(answer), `"error"`) {
		t.Fatalf("loading into %s: %s", d.Host, answer)
	}
}

// Client returns a client like the pusher's, for this daemon.
func (d *Daemon) Client(t testing.TB) *docker.Client {
	t.Helper()
	c, err := docker.New(d.Host)
	if err != nil {
		t.Fatalf("%s: %v", d.Host, err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// Service returns a pusher service that pushes images from this daemon to the registry at url. host is the registry's host in
// image references.
func (d *Daemon) Service(t testing.TB, url, host string, log slog.Handler) (*pusher.Service, *push.Registry) {
	t.Helper()
	registry, err := push.NewRegistry(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(registry.Close)
	service := pusher.NewService(d.Client(t), registry, host, rules.Rules{}, slog.New(log))
	t.Cleanup(service.Close)
	return service, registry
}
