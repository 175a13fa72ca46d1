package enginetest

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/api/types/system"
)

// Container is a container in the fake daemon.
type Container struct {
	container.InspectResponse

	// Files are the files in the container, keyed by absolute path.
	Files map[string][]byte
	// Log is what the container printed to stdout.
	Log string
	// Exec runs a command in the container, and returns its exit status. The daemon serves other requests in the meantime.
	Exec func(command []string, stdout, stderr io.Writer) (status int)
}

// Daemon is a running fake daemon. Its fields may be changed only between requests.
type Daemon struct {
	// Containers are the containers, keyed by name.
	Containers map[string]*Container
	// Networks are the networks, keyed by name.
	Networks map[string]*network.Inspect
	// Volumes are the names of the volumes.
	Volumes map[string]bool
	// VolumeSize is the size of each volume in bytes.
	VolumeSize int64
	// Version is what the daemon reports about its version.
	Version system.VersionResponse
	// Info is what the daemon reports about itself.
	Info system.Info
	// Images are the images, keyed by reference.
	Images map[string]image.InspectResponse
	// Refuse returns the status and message with which the daemon refuses a request. If status is 0, the daemon serves the request.
	// path does not include the API version.
	Refuse func(method, path string, body []byte) (status int, message string)
	// Requests are the methods and paths of the requests that change something.
	Requests []string

	mu     sync.Mutex
	execs  []*execution
	socket string
	made   int // number of containers and networks created so far
}

// New starts a fake daemon with the networks bridge and kind. It stops when the test ends.
func New(t testing.TB) *Daemon {
	t.Helper()
	directory, err := os.MkdirTemp("", "docker") //nolint:usetesting // t.TempDir may be too long for a socket's address
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(directory) })
	d := &Daemon{
		Containers: map[string]*Container{}, Networks: map[string]*network.Inspect{}, Volumes: map[string]bool{},
		Images: map[string]image.InspectResponse{},
		Info:   system.Info{DockerRootDir: "/var/lib/docker", Driver: "overlay2", CgroupVersion: "2"},
		socket: filepath.Join(directory, "docker.sock"),
	}
	d.Networks["bridge"] = &network.Inspect{Network: network.Network{Name: "bridge", ID: "bridge"}}
	d.Networks["kind"] = &network.Inspect{Network: network.Network{Name: "kind", ID: "kind", IPAM: network.IPAM{
		Config: []network.IPAMConfig{{Subnet: netip.MustParsePrefix("172.18.0.0/16")}},
	}}}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "unix", d.socket)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(d.serve))
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	return d
}

// Between calls f while the daemon serves no request. Tests of other processes use it to change or read the daemon's fields.
func (d *Daemon) Between(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
}

// Socket returns the path of the daemon's socket.
func (d *Daemon) Socket() string { return d.socket }

// Host returns the daemon's address, as in DOCKER_HOST.
func (d *Daemon) Host() string { return "unix://" + d.socket }

// AddContainer adds a running container on the network kind.
func (d *Daemon) AddContainer(name string, labels map[string]string) *Container {
	d.made++
	added := &Container{
		InspectResponse: container.InspectResponse{
			ID: fmt.Sprintf("c%d", d.made), Name: "/" + name,
			State:      &container.State{Running: true, Status: container.StateRunning},
			Config:     &container.Config{Labels: labels},
			HostConfig: &container.HostConfig{},
			NetworkSettings: &container.NetworkSettings{Networks: map[string]*network.EndpointSettings{
				"kind": {IPAddress: netip.MustParseAddr("172.18.0.9")},
			}},
		},
		Files: map[string][]byte{},
	}
	d.Containers[name] = added
	return added
}

// AddImage adds an image with the ID and the layers' diffIDs.
func (d *Daemon) AddImage(reference, id string, layers ...string) {
	d.Images[reference] = image.InspectResponse{ID: id, RootFS: image.RootFS{Layers: layers}}
}

var apiVersion = regexp.MustCompile(`^/v[0-9.]+`)

// serve serves one request.
func (d *Daemon) serve(w http.ResponseWriter, r *http.Request) {
	if found := startPath.FindStringSubmatch(r.URL.Path); found != nil {
		d.startExec(w, r, found[1])
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	path := strings.TrimPrefix(r.URL.Path, apiVersion.FindString(r.URL.Path))
	w.Header().Set("Api-Version", "1.45")
	w.Header().Set("Content-Type", "application/json")
	body, err := readAll(r)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		d.Requests = append(d.Requests, r.Method+" "+path)
	}
	if d.Refuse != nil {
		if status, message := d.Refuse(r.Method, path, body); status != 0 {
			refuse(w, status, message)
			return
		}
	}
	d.route(w, r, path, body)
}

// route serves a request that is not refused. path does not include the API version.
func (d *Daemon) route(w http.ResponseWriter, r *http.Request, path string, body []byte) {
	kind, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch kind {
	case "_ping":
	case "version":
		answer(w, d.Version)
	case "info":
		answer(w, d.Info)
	case "containers":
		d.serveContainer(w, r, rest, body)
	case "networks":
		d.serveNetwork(w, r, rest, body)
	case "volumes":
		d.serveVolume(w, r, rest, body)
	case "system":
		answer(w, d.usage())
	case "images":
		d.serveImage(w, r, rest)
	case "exec":
		d.inspectExec(w, strings.TrimSuffix(rest, "/json"))
	default:
		refuse(w, http.StatusNotFound, "no route "+path)
	}
}

func answer(w http.ResponseWriter, value any) { _ = json.NewEncoder(w).Encode(value) }

func refuse(w http.ResponseWriter, status int, message string) {
	w.WriteHeader(status)
	answer(w, map[string]string{"message": message})
}
