package dockertest

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/system"
	"github.com/moby/moby/client/pkg/versions"
)

// Engine is a running fake daemon. A test adds its images.
type Engine struct {
	server *httptest.Server

	mu     sync.Mutex
	images map[string]Image
	saves  int
	limit  int64
	fails  string
	holds  <-chan struct{}
	api    string
	old    bool
	driver string
	root   string
	status [][2]string
	store  *system.ContainerdInfo

	events   []events.Message
	reported chan struct{} // closed at the next event
	ended    chan struct{} // closed when the streams of events end
	watchers chan struct{}
}

// NewEngine starts a daemon without images. The daemon stops when the test ends.
func NewEngine(t testing.TB) *Engine {
	t.Helper()
	e := &Engine{images: map[string]Image{}, api: "1.45", driver: "vfs", root: "/does/not/exist"}
	e.reported, e.ended, e.watchers = make(chan struct{}), make(chan struct{}), make(chan struct{}, 1)
	e.server = httptest.NewServer(http.HandlerFunc(e.serve))
	t.Cleanup(func() { e.EndEvents(); e.server.Close() })
	return e
}

// Host returns the daemon's address in the form that docker.New expects.
func (e *Engine) Host() string { return "tcp://" + e.server.Listener.Addr().String() }

// Tag adds the image to the daemon and moves the tag name to it.
func (e *Engine) Tag(name string, image Image) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.images[name], e.images[image.ID().String()] = image, image
}

// Truncate makes the daemon break off every saved image after the given number of bytes, as if the daemon had died. 0 means no
// limit.
func (e *Engine) Truncate(bytes int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.limit = bytes
}

// FailSaves makes the daemon answer every request for a saved image with an error.
func (e *Engine) FailSaves(message string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.fails = message
}

// HoldLists makes the daemon answer requests for a list of its images only once until is closed.
func (e *Engine) HoldLists(until <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.holds = until
}

// SetDriver sets the graph driver that the daemon reports. The default is vfs, for which save is the only source. The files of
// other drivers cannot be read, as if they were not mounted.
func (e *Engine) SetDriver(name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.driver = name
}

// UseOverlay2 makes the daemon report the driver overlay2 and the data directory root. StoreImage writes images to root.
func (e *Engine) UseOverlay2(root string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.driver, e.root = "overlay2", root
}

// Remove removes the image from the daemon, with all its names.
func (e *Engine) Remove(image Image) {
	e.mu.Lock()
	defer e.mu.Unlock()
	maps.DeleteFunc(e.images, func(_ string, known Image) bool { return known.ID() == image.ID() })
}

// Untag removes a name. The image stays in the daemon.
func (e *Engine) Untag(name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.images, name)
}

// UseContainerd makes the daemon report the containerd image store.
func (e *Engine) UseContainerd() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.driver, e.status = "overlayfs", [][2]string{{"driver-type", "io.containerd.snapshotter.v1"}}
}

// ReportContainerd makes the daemon report its containerd. By default it reports none, like Docker 26.
func (e *Engine) ReportContainerd(store *system.ContainerdInfo) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.store = store
}

// SaveAsBefore25 makes the daemon save images in the layout of Docker 20.10.
func (e *Engine) SaveAsBefore25() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.old = true
}

// SetAPIVersion sets the daemon's API version, such as 1.43.
func (e *Engine) SetAPIVersion(version string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.api = version
}

// Saves returns how many images have been saved.
func (e *Engine) Saves() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.saves
}

// serve handles one request.
func (e *Engine) serve(w http.ResponseWriter, r *http.Request) {
	version := regexp.MustCompile(`^/v[0-9.]+`).FindString(r.URL.Path)
	path := strings.TrimPrefix(r.URL.Path, version)
	name, inspected := strings.CutSuffix(strings.TrimPrefix(path, "/images/"), "/json")
	switch {
	case path == "/_ping":
		e.mu.Lock()
		defer e.mu.Unlock()
		w.Header().Set("Api-Version", e.api)
	case path == "/info":
		e.mu.Lock()
		defer e.mu.Unlock()
		_ = json.NewEncoder(w).Encode(map[string]any{
			"DockerRootDir": e.root, "Driver": e.driver, "DriverStatus": e.status, "Containerd": e.store,
		})
	case path == "/events":
		e.stream(w, r)
	case path == "/images/json":
		e.list(w, r)
	case path == "/images/get":
		e.save(w, r.URL.Query().Get("names"))
	case inspected:
		e.inspect(w, strings.TrimPrefix(version, "/v"), name)
	default:
		http.NotFound(w, r)
	}
}

// find returns the image with the given name. If there is none, it responds with status 404.
func (e *Engine) find(w http.ResponseWriter, name string) (Image, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	image, found := e.images[name]
	if !found {
		w.WriteHeader(http.StatusNotFound)
		_ = json.NewEncoder(w).Encode(map[string]string{"message": "No such image: " + name})
	}
	return image, found
}

// inspect handles GET /images/{name}/json in the given version of the API.
func (e *Engine) inspect(w http.ResponseWriter, version, name string) {
	image, found := e.find(w, name)
	if !found {
		return
	}
	layers := []string{}
	for _, layer := range image.Layers {
		layers = append(layers, layer.Digest.String())
	}
	answer := map[string]any{
		"Id": image.ID(), "Os": image.OS, "Architecture": "amd64", "Size": image.Size(),
		"RootFS":      map[string]any{"Type": "layers", "Layers": layers},
		"RepoDigests": image.RepoDigests, "RepoTags": e.tags(image),
	}
	if len(image.PulledFrom) > 0 && versions.GreaterThanOrEqualTo(version, "1.53") {
		var pulls []map[string]string
		for _, repository := range image.PulledFrom {
			pulls = append(pulls, map[string]string{"Repository": repository})
		}
		answer["Identity"] = map[string]any{"Pull": pulls}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// save handles GET /images/get. Like Docker, it refuses an image without layers.
func (e *Engine) save(w http.ResponseWriter, name string) {
	image, found := e.find(w, name)
	if !found {
		return
	}
	if len(image.Layers) == 0 {
		http.Error(w, `{"message":"empty export - not implemented"}`, http.StatusInternalServerError)
		return
	}
	e.mu.Lock()
	e.saves++
	limit, layout, fails := e.limit, save, e.fails
	if e.old {
		layout = saveAsBefore25
	}
	e.mu.Unlock()
	if fails != "" {
		http.Error(w, fmt.Sprintf(`{"message":%q}`, fails), http.StatusInternalServerError)
		return
	}
	var stream io.Writer = w
	if limit > 0 {
		stream = &limited{w, limit}
	}
	if layout(stream, image) != nil {
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler) // the status has been sent, so only closing the connection reports the error
	}
}

// limited is a writer that fails after a number of bytes; left is how many remain.
type limited struct {
	io.Writer
	left int64
}

// Write writes p, or returns an error when the limit is reached.
func (l *limited) Write(p []byte) (int, error) {
	if int64(len(p)) <= l.left {
		l.left -= int64(len(p))
		return l.Writer.Write(p)
	}
	n, _ := l.Writer.Write(p[:l.left])
	l.left = 0
	return n, io.ErrShortWrite
}
