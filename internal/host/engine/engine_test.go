package engine

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/system"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/engine/enginetest"
)

// open starts a fake daemon and connects to it.
func open(t *testing.T) (*Engine, *enginetest.Daemon) {
	t.Helper()
	daemon := enginetest.New(t)
	opened, err := OpenAt(t.Context(), daemon.Host())
	if err != nil {
		t.Fatal(err)
	}
	return opened, daemon
}

func TestOpenAt_ResolvesTheSocket(t *testing.T) {
	t.Parallel()
	daemon := enginetest.New(t)
	link := daemon.Socket() + ".link"
	if err := os.Symlink(daemon.Socket(), link); err != nil {
		t.Fatal(err)
	}
	opened, err := OpenAt(t.Context(), "unix://"+link)
	if err != nil {
		t.Fatal(err)
	}
	want, err := filepath.EvalSymlinks(daemon.Socket())
	if err != nil || opened.Socket != want || opened.CgroupV1 || opened.Network.Name != config.Network {
		t.Errorf("opened %+v on network %s, want socket %s on %s (error %v)", opened, opened.Network.Name, want, config.Network, err)
	}
}

func TestOpenAt_FailsWithARemedy(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"tcp://192.0.2.1:2376":        "docker at tcp://192.0.2.1:2376 is on another machine; copy setup, a single file, to that machine and run it there",
		"ssh://me@build.example":      "docker at ssh://me@build.example is on another machine; copy setup",
		"tcp://127.0.0.1:2375":        "docker at tcp://127.0.0.1:2375 listens on a port, and setup's containers need its Unix socket; set DOCKER_HOST to the",
		"tcp://[::1]:2375":            "docker at tcp://[::1]:2375 listens on a port",
		"tcp://localhost:2375":        "docker at tcp://localhost:2375 listens on a port",
		"unix:///nowhere/docker.sock": "docker does not answer at unix:///nowhere/docker.sock; start it",
	} {
		if opened, err := OpenAt(t.Context(), address); opened != nil || err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("OpenAt(%s) = %v, want %q", address, err, want)
		}
	}
	denied := errors.New("dial unix /var/run/docker.sock: connect: permission denied")
	if err := unavailable("unix:///var/run/docker.sock", denied); !strings.Contains(err.Error(), "no permission") || !strings.Contains(err.Error(), "group docker") {
		t.Errorf("unavailable(%v) = %v", denied, err)
	}
}

func TestOpenAt_RejectsPodman(t *testing.T) {
	t.Parallel()
	daemon := enginetest.New(t)
	daemon.Version.Components = []system.ComponentVersion{{Name: "Podman Engine", Version: "5.4.2"}, {Name: "Conmon", Version: "2.1.12"}}
	want := "Podman Engine 5.4.2 listens at " + daemon.Host() + ", and setup works only with Docker; set DOCKER_HOST"
	if opened, err := OpenAt(t.Context(), daemon.Host()); opened != nil || err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("OpenAt = %v, want %q", err, want)
	}
	daemon.Version.Components = []system.ComponentVersion{{Name: "Engine", Version: "29.8.0"}, {Name: "containerd", Version: "2.2.0"}}
	if _, err := OpenAt(t.Context(), daemon.Host()); err != nil {
		t.Errorf("OpenAt with Docker = %v", err)
	}
}

func TestOpen_NamesOtherSockets(t *testing.T) {
	home, rootless := t.TempDir(), t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_RUNTIME_DIR", rootless)
	t.Setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
	want := "or set DOCKER_HOST to where it listens"
	if _, err := Open(t.Context()); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), rootless) {
		t.Errorf("Open = %v, want %q without a socket in %s", err, want, rootless)
	}
	if err := os.Symlink(enginetest.New(t).Socket(), filepath.Join(rootless, "docker.sock")); err != nil {
		t.Fatal(err)
	}
	want = "unix://" + rootless + "/docker.sock"
	if _, err := Open(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Open = %v, want it to name %s", err, want)
	}
}

func TestOpen_UsesKindsNetworkVariable(t *testing.T) {
	t.Setenv("DOCKER_HOST", enginetest.New(t).Host())
	t.Setenv("KIND_EXPERIMENTAL_DOCKER_NETWORK", "mine")
	docker, err := Open(t.Context())
	if err != nil || docker.Network.Name != "mine" {
		t.Errorf("Open = %+v, %v; want network mine", docker, err)
	}
}

func TestOpen_RejectsOtherProviders(t *testing.T) {
	t.Setenv("DOCKER_HOST", enginetest.New(t).Host())
	for provider, want := range map[string]string{"": "", "docker": "", "podman": "KIND_EXPERIMENTAL_PROVIDER is podman", "nerdctl": "KIND_EXPERIMENTAL_PROVIDER is nerdctl"} {
		t.Setenv("KIND_EXPERIMENTAL_PROVIDER", provider)
		if _, err := Open(t.Context()); (err == nil) != (want == "") || err != nil && !strings.HasPrefix(err.Error(), want) {
			t.Errorf("Open with provider %q = %v, want %q", provider, err, want)
		}
	}
}

func TestFiles_AreReadAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	docker, daemon := open(t)
	daemon.AddContainer("pusher", nil)
	files := map[string][]byte{"a": []byte("1"), "b": {}, "c": []byte(strings.Repeat("x", 100_000))}
	if err := docker.WriteFiles(t.Context(), "pusher", "/etc/certs", files); err != nil {
		t.Fatal(err)
	}
	got, err := docker.ReadFiles(t.Context(), "pusher", "/etc/certs")
	if err != nil || len(got) != len(files) || string(got["a"]) != "1" || len(got["b"]) != 0 || string(got["c"]) != string(files["c"]) {
		t.Errorf("ReadFiles = %d files, %v; want the files that were written", len(got), err)
	}
	if err := docker.WriteFiles(t.Context(), "none", "/etc", files); err == nil {
		t.Error("WriteFiles succeeds although the container does not exist")
	}
}

func TestReadFiles_ReturnsOneFileOrNothing(t *testing.T) {
	t.Parallel()
	docker, daemon := open(t)
	daemon.AddContainer("pusher", nil).Files["/etc/certs/a"] = []byte("1")
	one, err := docker.ReadFiles(t.Context(), "pusher", "/etc/certs/a")
	if err != nil || len(one) != 1 || string(one["a"]) != "1" {
		t.Errorf("ReadFiles of a single file = %q, %v", one, err)
	}
	for container, path := range map[string]string{"pusher": "/etc/none", "none": "/etc/certs"} {
		if got, err := docker.ReadFiles(t.Context(), container, path); got != nil || err != nil {
			t.Errorf("ReadFiles of %s in %s = %q, %v; want nothing", path, container, got, err)
		}
	}
}

func TestImages_OfLabelledContainersAreLeftOut(t *testing.T) {
	t.Parallel()
	docker, daemon := open(t)
	daemon.AddImage("a:1", "sha256:a")
	daemon.AddImage("b:1", "sha256:b")
	daemon.AddContainer("node", map[string]string{"label": "x"}).Image = "sha256:b"
	if all, err := docker.Images(t.Context(), "label"); err != nil || len(all) != 1 || all[0].ID != "sha256:a" {
		t.Errorf("Images = %+v, %v; want a:1 alone", all, err)
	}
}

func TestImage_IsFoundUntilItIsRemoved(t *testing.T) {
	t.Parallel()
	docker, daemon := open(t)
	daemon.AddImage("a:1", "sha256:a", "sha256:l1", "sha256:l2")
	if id, err := docker.ImageID(t.Context(), "a:1"); id != "sha256:a" || err != nil {
		t.Errorf("ImageID = %q, %v", id, err)
	}
	if layers, err := docker.ImageLayers(t.Context(), "a:1"); !slices.Equal(layers, []string{"sha256:l1", "sha256:l2"}) || err != nil {
		t.Errorf("ImageLayers = %q, %v", layers, err)
	}
	for range 2 { // the second call finds no image
		if err := docker.RemoveImage(t.Context(), "a:1"); err != nil {
			t.Error(err)
		}
	}
	if id, err := docker.ImageID(t.Context(), "a:1"); id != "" || err != nil {
		t.Errorf("ImageID = %q, %v after the image was removed", id, err)
	}
}

func TestLoadImages_SendsTheArchive(t *testing.T) {
	t.Parallel()
	docker, daemon := open(t)
	var sent string
	daemon.Refuse = func(_, path string, body []byte) (int, string) {
		if path == "/images/load" {
			sent = string(body)
		}
		return 0, ""
	}
	if err := docker.LoadImages(t.Context(), strings.NewReader("archive")); err != nil || sent != "archive" {
		t.Errorf("LoadImages = %v, sent %q", err, sent)
	}
}

func TestVolumes_AreKeptWhileInUse(t *testing.T) {
	t.Parallel()
	docker, daemon := open(t)
	daemon.Volumes["data"] = true
	daemon.Refuse = func(method, _ string, _ []byte) (int, string) {
		if method == http.MethodDelete {
			return http.StatusConflict, "volume is in use"
		}
		return 0, ""
	}
	if err := docker.RemoveUnusedVolume(t.Context(), "data"); err != nil {
		t.Errorf("RemoveUnusedVolume = %v", err)
	}
	if err := docker.RemoveVolume(t.Context(), "data"); err == nil {
		t.Error("RemoveVolume of a volume in use succeeds")
	}
	daemon.Refuse = nil
	for _, want := range []bool{true, false} {
		if exists, err := docker.VolumeExists(t.Context(), "data"); exists != want || err != nil {
			t.Errorf("VolumeExists = %t, %v; want %t", exists, err, want)
		}
		if err := docker.RemoveVolume(t.Context(), "data"); err != nil { // the second call finds no volume
			t.Error(err)
		}
	}
}
