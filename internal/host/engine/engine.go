package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/moby/moby/client"

	"kind-local-registry/config"
	"kind-local-registry/internal/docker"
	"kind-local-registry/internal/host/step"
)

// providerVariable is the environment variable that selects where kind runs its nodes.
const providerVariable = "KIND_EXPERIMENTAL_PROVIDER"

// Engine is a connection to this host's Docker daemon.
type Engine struct {
	// Socket is the path of the daemon's socket on the host, with symbolic links resolved.
	Socket string
	// Version is the daemon's version, such as 29.8.0, and Driver is its storage driver, such as overlay2.
	Version, Driver string
	// Virtual means that the daemon runs in a virtual machine on this host, with its own file system.
	Virtual bool
	// CgroupV1 means that the daemon's host uses cgroup v1.
	CgroupV1 bool
	// Layout describes where the daemon keeps its images.
	Layout docker.Layout
	// Network is the Docker network that the kind nodes and setup's containers share.
	Network *Network

	client *client.Client
}

// Open connects to the daemon that the docker command would use. The error includes a remedy if the daemon does not answer or
// does not listen at a Unix socket.
func Open(ctx context.Context) (*Engine, error) {
	if provider := os.Getenv(providerVariable); provider != "" && provider != "docker" {
		return nil, step.Remedy(fmt.Errorf("%s is %s, and setup works only with kind's Docker provider", providerVariable, provider),
			"unset it to use clusters in Docker, or go on with kind load in clusters elsewhere")
	}
	return OpenAt(ctx, dockerHost(ctx))
}

// OpenAt is like Open, but connects to the daemon at address, which has the same format as DOCKER_HOST.
func OpenAt(ctx context.Context, address string) (*Engine, error) {
	socket, local := strings.CutPrefix(address, "unix://")
	if !local {
		return nil, notASocket(address)
	}
	api, err := client.New(client.WithHost(address))
	if err != nil {
		return nil, fmt.Errorf("connecting to Docker at %s: %w", address, err)
	}
	info, err := api.Info(ctx, client.InfoOptions{})
	if err != nil {
		return nil, errors.Join(unavailable(address, err), api.Close())
	}
	if err := rejectPodman(ctx, api, address); err != nil {
		return nil, errors.Join(err, api.Close())
	}
	network := os.Getenv("KIND_EXPERIMENTAL_DOCKER_NETWORK")
	if network == "" {
		network = config.Network
	}
	if resolved, err := filepath.EvalSymlinks(socket); err == nil {
		socket = resolved // different users may reach the same socket through different links
	}
	return &Engine{
		Socket:   socket,
		Version:  info.Info.ServerVersion,
		Driver:   info.Info.Driver,
		Virtual:  runtime.GOOS != "linux" || info.Info.OperatingSystem == "Docker Desktop",
		CgroupV1: info.Info.CgroupVersion == "1",
		Layout:   docker.NewLayout(info.Info),
		Network:  &Network{Name: network, client: api},
		client:   api,
	}, nil
}

// notASocket returns an error for a daemon that does not listen at a Unix socket, with a remedy. docs/adr/0036 explains why setup does not
// work on another machine.
func notASocket(address string) error {
	at, err := url.Parse(address)
	if err == nil && (at.Hostname() == "localhost" || net.ParseIP(at.Hostname()).IsLoopback()) {
		return step.Remedy(fmt.Errorf("docker at %s listens on a port, and setup's containers need its Unix socket", address),
			"set DOCKER_HOST to the socket, such as "+client.DefaultDockerHost)
	}
	return step.Remedy(fmt.Errorf("docker at %s is on another machine", address), "copy setup, a single file, to that machine and run it there; "+
		"or, to use Docker on this machine, unset DOCKER_HOST or choose a local docker context")
}

// rejectPodman returns an error if Podman listens at the address. Podman answers Docker's API, but it keeps its images elsewhere, and kind
// manages its nodes by other commands.
func rejectPodman(ctx context.Context, api *client.Client, address string) error {
	found, err := api.ServerVersion(ctx, client.ServerVersionOptions{})
	if err != nil {
		return fmt.Errorf("reading the version of Docker at %s: %w", address, err)
	}
	for _, component := range found.Components {
		if strings.HasPrefix(component.Name, "Podman") {
			return step.Remedy(fmt.Errorf("%s %s listens at %s, and setup works only with Docker", component.Name, component.Version, address),
				"set DOCKER_HOST to where Docker listens, or go on with kind load")
		}
	}
	return nil
}

// dockerHost returns the address of the daemon that the docker command would use. This is DOCKER_HOST, otherwise the address in
// the current docker context, otherwise Docker's default.
func dockerHost(ctx context.Context) string {
	if host := os.Getenv(client.EnvOverrideHost); host != "" {
		return host
	}
	output, err := exec.CommandContext(ctx, "docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}").Output()
	if host := strings.TrimSpace(string(output)); err == nil && host != "" {
		return host
	}
	return client.DefaultDockerHost
}

// unavailable returns an error that explains why the daemon cannot be used, with a remedy.
func unavailable(address string, err error) error {
	if strings.Contains(err.Error(), "permission denied") { // the client's error wraps no error value to compare with
		return step.Remedy(fmt.Errorf("no permission to use Docker at %s", address), "run setup as root, or join the group docker and log in again")
	}
	remedy := "start it (systemctl start docker), or set DOCKER_HOST to where it listens"
	if others := otherSockets(address); len(others) > 0 {
		remedy += ", perhaps " + strings.Join(others, " or ")
	}
	return step.Remedy(fmt.Errorf("docker does not answer at %s", address), remedy)
}

// otherSockets returns the addresses of the existing sockets where Docker listens by default, except the given address: that of the
// system's daemon, of a rootless one, and of Docker Desktop on Linux and on macOS.
func otherSockets(address string) []string {
	home, _ := os.UserHomeDir() // without one, none of the paths exists
	var found []string
	for _, path := range []string{
		strings.TrimPrefix(client.DefaultDockerHost, "unix://"),
		filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "docker.sock"),
		filepath.Join(home, ".docker/desktop/docker.sock"),
		filepath.Join(home, ".docker/run/docker.sock"),
	} {
		info, err := os.Stat(path) // #nosec G703 -- reads nothing, and the user chooses the variables
		if err == nil && info.Mode().Type() == os.ModeSocket && "unix://"+path != address {
			found = append(found, "unix://"+path)
		}
	}
	return found
}
