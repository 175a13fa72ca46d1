//go:build daemon

package daemon

import (
	"archive/tar"
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"golang.org/x/sys/unix"

	"kind-local-registry/config"
	"kind-local-registry/internal/host"
	"kind-local-registry/internal/host/images"
	"kind-local-registry/internal/host/node"
	"kind-local-registry/internal/host/step"
	"kind-local-registry/internal/push"
	"kind-local-registry/test/dockerd"
)

// count returns how many times a test repeats a long step. It returns full if E2E_FULL is set, and few otherwise.
func count(few, full int) int {
	if os.Getenv("E2E_FULL") != "" {
		return full
	}
	return few
}

func TestSetup_RunsItsContainersOnEveryDaemon(t *testing.T) {
	archive := ownImages(t)
	for name, test := range map[string]struct {
		store    dockerd.Store
		settings map[string]any
	}{
		"overlay2":               {store: dockerd.Overlay2},
		"containerd image store": {store: dockerd.Containerd},
		"remapped users":         {store: dockerd.Overlay2, settings: map[string]any{"userns-remap": "default"}},
		"live restore":           {store: dockerd.Overlay2, settings: map[string]any{"live-restore": true}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, archive, test.store, test.settings)
			h.asUser(func() { h.up(t) })
			h.wantPushed(t, "host/first:1", 60)
			for _, step := range step.CheckAll(t.Context(), h.steps(t), silent{}) { // as root
				if !step.OK {
					t.Errorf("root finds that another user's step %s is not OK: %s", step.Step, step.Detail)
				}
			}
			if err := h.Restart(); err != nil {
				t.Fatal(err)
			}
			h.wantPushed(t, "host/second:1", 70)
		})
	}
}

func TestDown_LeavesThePusherToAStoppedCluster(t *testing.T) {
	h := newHost(t, ownImages(t), dockerd.Overlay2, nil)
	h.up(t)
	h.wantPushed(t, "host/kept:1", 60)
	h.addStoppedNode(t, "other")
	steps := h.steps(t)
	pusher := steps[slices.IndexFunc(steps, func(s step.Step) bool { return s.Name == "pusher" })]
	detail, err := pusher.Undo(t.Context())
	if err != nil || !strings.Contains(detail, "kind cluster other") {
		t.Errorf("undoing the pusher: %q, %v, want the pusher kept for kind cluster other", detail, err)
	}
	_, plan, err := h.open(t).PlanDown(t.Context(), host.DownOptions{Registry: true})
	isImages := func(c step.Change) bool {
		return c.Loss && strings.Contains(c.Detail, "kind cluster other") && c.Bytes > 0
	}
	if err != nil || !slices.ContainsFunc(plan, isImages) {
		t.Errorf("PlanDown = %+v, %v, want the size of the registry's images, and that kind cluster other uses them", plan, err)
	}
}

// ownImages returns an archive with the images that setup carries.
func ownImages(t *testing.T) []byte {
	t.Helper()
	t.Setenv("CGO_ENABLED", "0")
	file := filepath.Join(t.TempDir(), "images.tar")
	out, err := exec.CommandContext(t.Context(), "go", "run", "kind-local-registry/hack/images", "-arch", runtime.GOARCH, "-o", file,
		config.WebhookImage+":"+config.Version+"="+build(t, "webhook"),
		config.RegistryImage+":"+config.Version+"="+build(t, "registry")).CombinedOutput()
	if err != nil {
		t.Fatalf("packing images: %v\n%s", err, out)
	}
	archive, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return archive
}

// setupHost is a daemon that setup uses.
type setupHost struct {
	*daemon

	port int // the registry's port
}

// newHost starts a daemon that has the images that setup carries, and points DOCKER_HOST to it.
func newHost(t *testing.T, images []byte, store dockerd.Store, settings map[string]any) *setupHost {
	t.Helper()
	started, err := dockerd.StartWith(store, settings, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(freeAddress(t))
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	h := &setupHost{&daemon{Daemon: started, name: string(store)}, number}
	t.Cleanup(func() {
		for _, name := range []string{config.PusherContainer, config.RegistryContainer} {
			_, _ = h.API.ContainerRemove(context.Background(), name, client.ContainerRemoveOptions{Force: true})
		}
		_, _ = h.API.NetworkRemove(context.Background(), config.Network, client.NetworkRemoveOptions{})
		h.Stop()
	})
	h.Load(t, bytes.NewReader(images))
	const bridge = "klr-kind"
	if _, err := h.API.NetworkCreate(t.Context(), config.Network, client.NetworkCreateOptions{
		Driver: "bridge", Options: map[string]string{"com.docker.network.bridge.name": bridge},
	}); err != nil {
		t.Fatal(err)
	}
	allowForwarding(t, bridge)
	t.Setenv("DOCKER_HOST", h.Host)
	return h
}

// allowForwarding lets the containers on a bridge reach each other. The firewall rules of the machine's own Docker allow this
// only on its own bridges.
func allowForwarding(t *testing.T, bridge string) {
	t.Helper()
	rule := []string{"FORWARD", "-i", bridge, "-o", bridge, "-j", "ACCEPT"}
	if out, err := exec.CommandContext(t.Context(), "iptables", append([]string{"-w", "-I"}, rule...)...).CombinedOutput(); err != nil {
		t.Fatalf("allowing %s: %v\n%s", bridge, err, out)
	}
	t.Cleanup(func() {
		_ = exec.CommandContext(context.Background(), "iptables", append([]string{"-w", "-D"}, rule...)...).Run()
	})
}

// open opens the daemon as setup does.
func (h *setupHost) open(t *testing.T) *host.System {
	t.Helper()
	system, err := host.Open(t.Context(), host.Options{RegistryPort: h.port})
	if err != nil {
		t.Fatal(err)
	}
	return system
}

// steps returns the steps for setup's containers.
func (h *setupHost) steps(t *testing.T) []step.Step {
	t.Helper()
	return slices.DeleteFunc(h.open(t).Steps(), func(s step.Step) bool { return s.Name != "registry" && s.Name != "pusher" })
}

// up applies the steps for setup's containers.
func (h *setupHost) up(t *testing.T) {
	if _, err := step.Up(t.Context(), h.steps(t), silent{}); err != nil {
		t.Errorf("setting up: %v", err)
	}
}

// push pushes the image as setup push does.
func (h *setupHost) push(t *testing.T, image string) error {
	pushed, err := h.open(t).Push(t.Context(), []string{image}, silent{})
	if err != nil {
		return err
	}
	return pushed[0].Err
}

// wantPushed loads an image and pushes it. The pusher may still be starting.
func (h *setupHost) wantPushed(t *testing.T, image string, seed byte) {
	t.Helper()
	noise(t, h.daemon, image, 100_000, seed)
	await(t, func() error { return h.push(t, image) })
}

// asUser calls f as a user who may access only files that are accessible to everybody. Work that f hands to other goroutines,
// such as requests to Docker, still runs as root.
func (h *setupHost) asUser(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked, so that the thread ends with the goroutine
		_ = unix.Setfsuid(65534)
		f()
	}()
	<-done
}

// addStoppedNode creates a stopped node of a kind cluster. The node is configured to pull from our registry.
func (h *setupHost) addStoppedNode(t *testing.T, cluster string) {
	t.Helper()
	noise(t, h.daemon, "kindest/node:test", 1000, 80)
	made, err := h.API.ContainerCreate(t.Context(), client.ContainerCreateOptions{
		Name: cluster + "-control-plane",
		Config: &container.Config{
			Image: "kindest/node:test", Cmd: []string{"/none"},
			Labels: map[string]string{"io.x-k8s.kind.cluster": cluster, "io.x-k8s.kind.role": "control-plane"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	file := node.HostsFile(config.RegistryHost(h.port))
	if err := w.WriteHeader(&tar.Header{Name: file, Mode: 0o644, Size: int64(len(node.Hosts()))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(node.Hosts())); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	copied := client.CopyToContainerOptions{DestinationPath: "/", Content: &archive}
	if _, err := h.API.CopyToContainer(t.Context(), made.ID, copied); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = h.API.ContainerRemove(context.Background(), made.ID, client.ContainerRemoveOptions{Force: true})
	})
}

// silent is an Observer that does nothing.
type silent struct{}

func (silent) Begin(string)               {}
func (silent) Progress(string)            {}
func (silent) Checked(step.Status)        {}
func (silent) End(step.Result)            {}
func (silent) Pushing(int, push.Progress) {}
func (silent) Pushed(int, images.Pushed)  {}
