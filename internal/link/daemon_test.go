//go:build daemon

package link

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	leasesapi "github.com/containerd/containerd/api/services/leases/v1"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"

	"kind-local-registry/internal/docker"
	"kind-local-registry/internal/link/linkapi"
	"kind-local-registry/test/dockerd"
	"kind-local-registry/test/testimage"
)

// realHost is a Docker daemon with the containerd image store. A container plays a kind node, and the namespace k8s.io of the daemon's
// containerd plays the node's containerd.
type realHost struct {
	*dockerd.Daemon

	client     *docker.Client
	node       docker.Node
	linker     *Linker
	dockers    *containerd // the daemon's namespace
	kubernetes *containerd // the node's namespace
}

// newRealHost starts a host.
func newRealHost(t *testing.T) *realHost {
	t.Helper()
	needRoot(t, "start a Docker daemon")
	if _, err := dockerd.Program(); err != nil && os.Getenv("DOCKERD") == "" {
		t.Skip("SKIP: no dockerd found (hack/docker.sh installs it)")
	}
	daemon, err := dockerd.Start(dockerd.Containerd, nil)
	must(t, err)
	t.Cleanup(func() { _ = daemon.API.Close(); daemon.Stop() })
	h := &realHost{Daemon: daemon, client: daemon.Client(t)}
	if _, err := os.Stat(h.socket()); err != nil {
		t.Skip("SKIP: Docker uses the system's containerd, in which a test must not play a node")
	}
	h.dockers, h.kubernetes = h.connect(t, "moby"), h.connect(t, kubernetesNamespace)
	h.startNode(t)
	h.linker, err = NewLinker(h.client, filepath.Join(t.TempDir(), "broken"))
	must(t, err)
	t.Cleanup(h.linker.Close)
	h.showSockets(t)
	return h
}

// socket returns the socket of the daemon's containerd.
func (h *realHost) socket() string {
	return filepath.Join(filepath.Dir(h.Root), "exec/containerd/containerd.sock")
}

// connect returns a client of a namespace of the daemon's containerd.
func (h *realHost) connect(t *testing.T, namespace string) *containerd {
	t.Helper()
	connected, err := connect("unix://"+h.socket(), namespace)
	must(t, err)
	t.Cleanup(connected.close)
	return connected
}

// load loads an image with those layers, and returns it.
func (h *realHost) load(t *testing.T, reference string, layers ...[]testimage.File) docker.Image {
	t.Helper()
	var contents [][]byte
	for _, files := range layers {
		contents = append(contents, testimage.Layer(t, files))
	}
	h.Load(t, testimage.Layout(t, reference, testimage.Child{Image: testimage.Image(t, contents...)}))
	image, err := h.client.Image(t.Context(), reference)
	must(t, err)
	return image
}

// startNode starts the node, whose containerd has an image.
func (h *realHost) startNode(t *testing.T) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "hello")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "kind-local-registry/examples/hello")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the node's program: %v\n%s", err, out)
	}
	content, err := os.ReadFile(program)
	must(t, err)
	file := testimage.Regular("hello", string(content))
	file.Mode = 0o755
	h.load(t, "link/node:1", []testimage.File{file})
	data := filepath.Join(h.Root, "containerd/daemon")
	created, err := h.API.ContainerCreate(t.Context(), client.ContainerCreateOptions{
		Name:   "kind-worker",
		Config: &container.Config{Image: "link/node:1", Cmd: []string{"/hello"}, Labels: map[string]string{"io.x-k8s.kind.cluster": "kind"}},
		HostConfig: &container.HostConfig{Binds: []string{
			data + ":/var/lib/containerd", data + ":" + data, filepath.Dir(h.socket()) + ":" + filepath.Dir(nodeSocket),
		}},
	})
	must(t, err)
	t.Cleanup(func() {
		_, _ = h.API.ContainerRemove(context.Background(), created.ID, client.ContainerRemoveOptions{Force: true})
	})
	_, err = h.API.ContainerStart(t.Context(), created.ID, client.ContainerStartOptions{})
	must(t, err)
	nodes, err := h.client.Nodes(t.Context())
	if err != nil || len(nodes) != 1 || len(nodes[0].Addresses) == 0 {
		t.Fatalf("Nodes = %+v, %v, want one with an address", nodes, err)
	}
	h.node = nodes[0]
	leased, err := h.kubernetes.lease(t.Context())
	must(t, err)
	_, err = h.kubernetes.prepare(leased, "base", "")
	must(t, err)
	must(t, h.kubernetes.commit(leased, "base", digest.FromString("base")))
}

// showSockets makes the linker find the containerd of a daemon that does not report it. Such a daemon is older than Docker 27.
func (h *realHost) showSockets(t *testing.T) {
	t.Helper()
	found, used, err := h.client.Store(t.Context())
	if err != nil || !used {
		t.Fatalf("Store = %+v, %t, %v, want the daemon's containerd", found, used, err)
	}
	if slices.Contains(found.Sockets, h.socket()) {
		return
	}
	proc, err := os.MkdirTemp("", "proc") //nolint:usetesting // t.TempDir may be too long for a socket's address
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(proc) })
	process, err := listenerProcess(t.Context(), h.Host)
	must(t, err)
	shown := filepath.Join(proc, fmt.Sprint(process), "root", found.Sockets[0])
	must(t, os.MkdirAll(filepath.Dir(shown), 0o755))
	must(t, os.Link(h.socket(), shown))
	must(t, os.Symlink(fmt.Sprintf("/proc/%d", h.node.PID), filepath.Join(proc, fmt.Sprint(h.node.PID))))
	h.linker.nodes.proc, h.linker.daemon.proc = proc, proc
}

// wantPromisable fails the test unless the sizes of all blobs of the image are known.
func (h *realHost) wantPromisable(t *testing.T, image docker.Image) {
	t.Helper()
	contents, err := h.client.Contents(t.Context(), image)
	must(t, err)
	sizes, err := h.client.Sizes(t.Context(), image)
	if err != nil {
		t.Errorf("Sizes: %v", err)
	}
	for _, blob := range append(contents.Layers, contents.Config) {
		if sizes[blob] == 0 {
			t.Errorf("Sizes = %v, want the size of %s", sizes, blob)
		}
	}
}

// wantLinked fails the test unless the node has the layers, and their files are those of the daemon's layers.
func (h *realHost) wantLinked(t *testing.T, layers []digest.Digest) {
	t.Helper()
	top := identity.ChainID(slices.Clone(layers)).String()
	var all [2][]string
	for i, of := range []*containerd{h.dockers, h.kubernetes} {
		directories, release, err := of.view(t.Context(), top)
		if err != nil {
			t.Fatalf("viewing the image in namespace %s: %v", of.namespace, err)
		}
		defer release()
		all[i] = directories
	}
	if len(all[0]) != len(layers) || len(all[1]) != len(layers) {
		t.Fatalf("layers = %d in Docker and %d on the node, want %d", len(all[0]), len(all[1]), len(layers))
	}
	for i, from := range all[0] {
		if from == all[1][i] {
			t.Fatalf("the node has Docker's directory %s, want its own", from)
		}
		wantSame(t, from, all[1][i])
	}
}

// wantNothingLeft fails the test if a lease of the linker is left in the daemon's namespace.
func (h *realHost) wantNothingLeft(t *testing.T) {
	t.Helper()
	listed, err := h.dockers.leases.List(h.dockers.in(t.Context()), &leasesapi.ListRequest{})
	must(t, err)
	for _, lease := range listed.GetLeases() {
		if strings.HasPrefix(lease.GetID(), "kind-local-registry-") {
			t.Errorf("lease %s is left in Docker's containerd", lease.GetID())
		}
	}
}

// TestStore_LinksImagesOfRealDaemon links an image of every unusual kind, and compares each layer in every field and byte.
func TestStore_LinksImagesOfRealDaemon(t *testing.T) {
	h := newRealHost(t)
	shapes := testimage.All()
	for i, kind := range slices.Sorted(maps.Keys(shapes)) {
		t.Run(kind, func(t *testing.T) {
			image := h.load(t, fmt.Sprintf("shape/image-%d:1", i), shapes[kind]...)
			if got := h.linker.Check(t.Context(), image.Layers); got != (linkapi.State{}) {
				t.Errorf("Check = %+v, want no reason", got)
			}
			got, err := h.linker.Link(t.Context(), h.node.Addresses[0], image.Layers, ignore)
			if err != nil || !got.Complete() {
				t.Fatalf("Link = %+v, %v, want a complete image", got, err)
			}
			h.wantLinked(t, image.Layers)
			h.wantPromisable(t, image)
		})
	}
	h.wantNothingLeft(t)
}

// TestStore_LinksNoImageThatRealDaemonRemoved removes an image before and after it was linked.
func TestStore_LinksNoImageThatRealDaemonRemoved(t *testing.T) {
	h := newRealHost(t)
	linked := h.load(t, "link/linked:1", []testimage.File{testimage.Regular("a", "linked")})
	removed := h.load(t, "link/removed:1", []testimage.File{testimage.Regular("a", "removed")})
	if got, err := h.linker.Link(t.Context(), h.node.Addresses[0], linked.Layers, ignore); err != nil || !got.Complete() {
		t.Fatalf("Link = %+v, %v, want a complete image", got, err)
	}
	if got := h.linker.Check(t.Context(), removed.Layers); got != (linkapi.State{}) { // the linker knows the directories
		t.Fatalf("Check = %+v, want no reason", got)
	}
	for _, reference := range []string{"link/linked:1", "link/removed:1"} {
		_, err := h.API.ImageRemove(t.Context(), reference, client.ImageRemoveOptions{Force: true})
		must(t, err)
	}
	if got := h.linker.Check(t.Context(), removed.Layers); got.Unlinkable != linkapi.LayerMissing {
		t.Errorf("Check of a removed image = %+v, want %s", got, linkapi.LayerMissing)
	}
	if got, err := h.linker.Link(t.Context(), h.node.Addresses[0], removed.Layers, ignore); err == nil {
		t.Errorf("Link of a removed image = %+v, want an error", got)
	}
	directories, release, err := h.kubernetes.view(t.Context(), linked.Layers[0].String())
	must(t, err)
	defer release()
	if got, err := os.ReadFile(filepath.Join(directories[0], "a")); err != nil || string(got) != "linked" {
		t.Errorf("file on the node = %q, %v after Docker removed its image, want it whole", got, err)
	}
}
