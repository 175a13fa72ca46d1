package docker_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/moby/moby/api/types/system"
	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/docker"
	"kind-local-registry/internal/docker/dockertest"
)

func TestLayerDirectory_HasTheFilesOfItsLayer(t *testing.T) {
	t.Parallel()
	contents := []string{"one", "two", "one"} // the first layer again, on top of others
	o := newOverlaid(t, dockertest.Layer(contents[0]), dockertest.Layer(contents[1]), dockertest.Layer(contents[2]))
	client := newClient(t, o.engine)
	seen := map[string]bool{}
	for i, want := range contents {
		directory, err := client.LayerDirectory(t.Context(), o.chain(i))
		if err != nil {
			t.Fatalf("LayerDirectory of layer %d: %v", i, err)
		}
		if got, err := os.ReadFile(filepath.Join(directory, "file")); err != nil || string(got) != want || seen[directory] {
			t.Errorf("file of layer %d in %s = %q (error %v), want %q in a directory of its own", i, directory, got, err, want)
		}
		seen[directory] = true
	}
	got, err := client.LayersDirectory(t.Context())
	if want := filepath.Join(o.root, "overlay2"); err != nil || got != want {
		t.Errorf("LayersDirectory = %q, %v, want %q", got, err, want)
	}
	if err := client.Shared(t.Context()); err != nil {
		t.Errorf("Shared = %v, want nil", err)
	}
}

func TestLayerDirectory_ReturnsErrNotExistForUnknownLayers(t *testing.T) {
	t.Parallel()
	o := newOverlaid(t, dockertest.Layer("one"), dockertest.Layer("two"))
	client := newClient(t, o.engine)
	if err := os.RemoveAll(filepath.Dir(o.metadata(1, "cache-id"))); err != nil { // as docker rmi does first
		t.Fatal(err)
	}
	for name, chain := range map[string]digest.Digest{
		"a removed layer":           o.chain(1),
		"a diffID that is no chain": o.built.Layers[1].Digest,
		"an unknown layer":          digest.FromString("unknown"),
	} {
		if directory, err := client.LayerDirectory(t.Context(), chain); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("LayerDirectory of %s = %q, %v, want %v", name, directory, err, fs.ErrNotExist)
		}
	}
}

func TestLayerDirectory_LeadsOutOfNoStore(t *testing.T) {
	t.Parallel()
	for _, cacheID := range []string{"", "..", "../..", "/etc", "a/b", "../overlay2/x"} {
		o := newOverlaid(t, dockertest.Layer("one"))
		if err := os.WriteFile(o.metadata(0, "cache-id"), []byte(cacheID), 0o600); err != nil {
			t.Fatal(err)
		}
		if directory, err := newClient(t, o.engine).LayerDirectory(t.Context(), o.chain(0)); err == nil {
			t.Errorf("LayerDirectory with cache-id %q = %q, want an error", cacheID, directory)
		}
	}
	o := newOverlaid(t, dockertest.Layer("one"))
	hostile := filepath.Join(o.root, "cache-id")
	if err := os.WriteFile(hostile, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, chain := range []digest.Digest{"", "none", "sha256:", "sha256:../../../.."} {
		if directory, err := newClient(t, o.engine).LayerDirectory(t.Context(), chain); err == nil {
			t.Errorf("LayerDirectory(%q) = %q, want an error", chain, directory)
		}
	}
}

func TestLayerDirectory_ReturnsWhyLayersCannotBeShared(t *testing.T) {
	t.Parallel()
	o := newOverlaid(t, dockertest.Layer("one"))
	o.engine.SetDriver("btrfs")
	client := newClient(t, o.engine)
	_, layer := client.LayerDirectory(t.Context(), o.chain(0))
	_, layers := client.LayersDirectory(t.Context())
	for name, err := range map[string]error{"LayerDirectory": layer, "LayersDirectory": layers, "Shared": client.Shared(t.Context())} {
		if !errors.Is(err, docker.ErrStorageDriver) {
			t.Errorf("%s with the driver btrfs = %v, want %v", name, err, docker.ErrStorageDriver)
		}
	}
}

func TestLayerDirectory_IgnoresOverlay2InContainerdStore(t *testing.T) {
	t.Parallel()
	o := newOverlaid(t, dockertest.Layer("one"))
	o.engine.UseContainerd()
	client := newClient(t, o.engine)
	_, layer := client.LayerDirectory(t.Context(), o.chain(0))
	_, layers := client.LayersDirectory(t.Context())
	for name, err := range map[string]error{"LayerDirectory": layer, "LayersDirectory": layers} {
		if !errors.Is(err, docker.ErrStorageDriver) {
			t.Errorf("%s with the containerd image store = %v, want %v", name, err, docker.ErrStorageDriver)
		}
	}
	if err := client.Shared(t.Context()); err != nil {
		t.Errorf("Shared with the containerd image store = %v, want nil", err)
	}
}

func TestLayout_ReportsWhyLayersCannotBeShared(t *testing.T) {
	t.Parallel()
	native, plain := [2]string{"Native Overlay Diff", "true"}, [2]string{"Using metacopy", "false"}
	for name, test := range map[string]struct {
		info system.Info
		want error
	}{
		"overlay2": {system.Info{Driver: "overlay2", DriverStatus: [][2]string{native, plain}}, nil},
		"overlay2 with other security options": {
			system.Info{Driver: "overlay2", SecurityOptions: []string{"name=seccomp,profile=builtin", "name=cgroupns", "name=apparmor"}}, nil,
		},
		"rootless": {system.Info{Driver: "overlay2", SecurityOptions: []string{"name=seccomp,profile=builtin", "name=rootless"}}, docker.ErrRemappedUsers},
		"userns":   {system.Info{Driver: "overlay2", SecurityOptions: []string{"name=userns"}}, docker.ErrRemappedUsers},
		"rootless with more after a comma": {
			system.Info{Driver: "overlay2", SecurityOptions: []string{"name=rootless,x=y"}}, docker.ErrRemappedUsers,
		},
		"metacopy":                      {system.Info{Driver: "overlay2", DriverStatus: [][2]string{native, {"Using metacopy", "true"}}}, docker.ErrOverlayFeature},
		"redirect_dir":                  {system.Info{Driver: "overlay2", DriverStatus: [][2]string{{"Native Overlay Diff", "false"}, plain}}, docker.ErrOverlayFeature},
		"containerd":                    {containerdInfo("overlayfs", "/var/lib/docker", ""), nil},
		"another snapshotter":           {containerdInfo("native", "/var/lib/docker", ""), docker.ErrStorageDriver},
		"containerd in separate places": {containerdInfo("overlayfs", "/data/docker", systemSocket), docker.ErrSeparateDirectories},
		"containerd with remapped users": {
			remapped(containerdInfo("overlayfs", "/var/lib/docker", "")), docker.ErrRemappedUsers,
		},
		"vfs":              {system.Info{Driver: "vfs"}, docker.ErrStorageDriver},
		"fuse-overlayfs":   {system.Info{Driver: "fuse-overlayfs"}, docker.ErrStorageDriver},
		"no driver at all": {system.Info{}, docker.ErrStorageDriver},
	} {
		if got := docker.NewLayout(test.info).Unshared(); !errors.Is(got, test.want) {
			t.Errorf("%s: Unshared() = %v, want %v", name, got, test.want)
		}
	}
}
