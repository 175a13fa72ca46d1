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
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"kind-local-registry/internal/docker"
	"kind-local-registry/internal/push"
	"kind-local-registry/internal/pusher"
	"kind-local-registry/internal/rules"
)

// Store is where a daemon keeps its images.
type Store string

// The stores that Docker 26 and Docker 29 have. The first is the default of Docker 26, the second that of Docker 29.
const (
	Overlay2   Store = "overlay2"   // Docker's own, with the overlay2 driver
	Containerd Store = "containerd" // the containerd image store
)

// Daemon is a running Docker daemon.
type Daemon struct {
	Root string // its data, such as /var/lib/docker
	Host string // its socket, as in DOCKER_HOST
	API  *client.Client

	process *exec.Cmd
	bridge  string
}

// number is of the next daemon's network.
var number atomic.Int32 //nolint:gochecknoglobals // networks are the machine's

// Program returns the path of the dockerd that Start starts.
func Program() (string, error) { return exec.LookPath(cmp.Or(os.Getenv("DOCKERD"), "dockerd")) }

// Start starts a daemon beside any other: it has its own directories, and no way out of its network. prepare, where it is
// not nil, is given the directory of its data before that is used. Stop must be called in the end.
func Start(store Store, prepare func(data string) error) (*Daemon, error) {
	return StartWith(store, nil, prepare)
}

// StartWith is Start of a daemon with more settings, as in daemon.json.
func StartWith(store Store, settings map[string]any, prepare func(data string) error) (d *Daemon, err error) {
	directory, err := os.MkdirTemp("", "klr-"+string(store)+"-")
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(directory, 0o711); err != nil { // #nosec G302 -- a daemon that remaps users has files below it that are theirs
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

// Restart stops the daemon and starts it again. Its containers run on if it has live-restore.
func (d *Daemon) Restart() error {
	if err := d.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	_ = d.process.Wait() // it was told to end
	return d.launch()
}

// addBridge makes a network for the daemon. Not --bridge=none: that would take docker0 away from the daemon that has it.
func (d *Daemon) addBridge() error {
	n := number.Add(1)
	bridge := fmt.Sprintf("klr-test%d", n)
	if out, err := exec.Command("ip", "link", "add", "name", bridge, "type", "bridge").CombinedOutput(); err != nil {
		return fmt.Errorf("making bridge %s: %w: %s", bridge, err, out)
	}
	d.bridge = bridge
	if out, err := exec.Command("ip", "address", "add", fmt.Sprintf("10.213.%d.1/24", n), "dev", bridge).CombinedOutput(); err != nil {
		return fmt.Errorf("giving bridge %s an address: %w: %s", bridge, err, out)
	}
	return nil
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

// launch starts the program, and waits until the daemon answers. The programs that it calls are those beside it, if there are
// any.
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
	defer func() { _ = log.Close() }() // the daemon has it open itself
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
	return fmt.Errorf("no answer: %w", err)
}

// Stop stops the daemon and removes what it had.
func (d *Daemon) Stop() {
	if d.process != nil {
		_ = d.process.Process.Signal(syscall.SIGTERM)
		_ = d.process.Wait()
	}
	if d.bridge != "" {
		_ = exec.Command("ip", "link", "delete", d.bridge).Run()
	}
	_ = exec.Command("umount", "--quiet", "--lazy", d.Root).Run() // which one with live-restore leaves mounted on itself
	_ = os.RemoveAll(filepath.Dir(d.Root))
}

// Signal sends a signal to the daemon.
func (d *Daemon) Signal(signal os.Signal) error { return d.process.Process.Signal(signal) }

// Suspend stops the daemon as SIGSTOP does, and returns when none of its threads runs. SIGCONT resumes it.
func (d *Daemon) Suspend() error {
	if err := d.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	_, err := syscall.Wait4(d.process.Process.Pid, nil, syscall.WUNTRACED, nil)
	return err
}

// Load loads an archive, as docker load does.
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

// Client returns the client of this daemon that the pusher has.
func (d *Daemon) Client(t testing.TB) *docker.Client {
	t.Helper()
	c, err := docker.New(d.Host)
	if err != nil {
		t.Fatalf("%s: %v", d.Host, err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// Service returns the pusher's service between this daemon and the registry at that URL, which nodes know as host.
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
