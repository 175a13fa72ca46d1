package docker_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/system"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"kind-local-registry/internal/docker"
	"kind-local-registry/internal/docker/dockertest"
)

const (
	ownSocket    = "/var/run/docker/containerd/containerd.sock"
	systemSocket = "/run/containerd/containerd.sock"
)

// containerdInfo returns the info of a daemon with the containerd image store. A daemon older than Docker 27 does not report the
// address of its containerd; address is then "".
func containerdInfo(driver, root, address string) system.Info {
	info := system.Info{
		Driver: driver, DockerRootDir: root, DriverStatus: [][2]string{{"driver-type", "io.containerd.snapshotter.v1"}},
	}
	if address != "" {
		info.Containerd = &system.ContainerdInfo{Address: address, Namespaces: system.ContainerdNamespaces{Containers: "moby"}}
	}
	return info
}

// remapped returns the info of the daemon if it remaps users.
func remapped(info system.Info) system.Info {
	info.SecurityOptions = []string{"name=userns"}
	return info
}

func TestLayout_SharedDirectoryContainsLayersAndVolumes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		info system.Info
		want string
	}{
		"overlay2":                                     {system.Info{Driver: "overlay2", DockerRootDir: "/var/lib/docker"}, "/var/lib/docker"},
		"the daemon's containerd":                      {containerdInfo("overlayfs", "/var/lib/docker", ownSocket), "/var/lib/docker"},
		"the daemon's containerd elsewhere":            {containerdInfo("overlayfs", "/data", "/exec/containerd/containerd.sock"), "/data"},
		"the system's containerd":                      {containerdInfo("overlayfs", "/var/lib/docker", systemSocket), "/var/lib"},
		"the system's containerd by its old path":      {containerdInfo("overlayfs", "/var/lib/docker", "/var"+systemSocket), "/var/lib"},
		"the system's containerd by its address":       {containerdInfo("overlayfs", "/var/lib/docker", "unix://"+systemSocket), "/var/lib"},
		"a data directory beside one of a longer name": {containerdInfo("overlayfs", "/var/lib/contain", systemSocket), "/var/lib"},
		"a data directory in containerd's": {
			containerdInfo("overlayfs", "/var/lib/containerd/docker", systemSocket), "/var/lib/containerd",
		},
		"a data directory in /var":                    {containerdInfo("overlayfs", "/var/docker", systemSocket), "/var"},
		"only / contains both":                        {containerdInfo("overlayfs", "/data/docker", systemSocket), "/"},
		"an unknown containerd":                       {containerdInfo("overlayfs", "/var/lib/docker", ""), "/var/lib"},
		"an unknown containerd and other directories": {containerdInfo("overlayfs", "/data/docker", ""), "/data/docker"},
		"no directory":                                {containerdInfo("overlayfs", "", systemSocket), ""},
	} {
		layout := docker.NewLayout(test.info)
		if got := layout.SharedDirectory(); got != test.want {
			t.Errorf("%s: SharedDirectory() = %q, want %q", name, got, test.want)
		}
		if err := layout.Unshared(); (err == nil) != (test.want != "/") {
			t.Errorf("%s: Unshared() = %v with the directory %q", name, err, test.want)
		}
	}
}

func TestStore_IsTheReportedContainerd(t *testing.T) {
	t.Parallel()
	reported := &system.ContainerdInfo{Address: "unix:///a//b.sock", Namespaces: system.ContainerdNamespaces{Containers: "other"}}
	unnamed := &system.ContainerdInfo{Address: systemSocket}
	for name, test := range map[string]struct {
		reported *system.ContainerdInfo
		want     docker.Store
	}{
		"reported":                  {reported, docker.Store{Sockets: []string{"/a/b.sock"}, Namespace: "other"}},
		"reported without a name":   {unnamed, docker.Store{Sockets: []string{systemSocket}, Namespace: "moby"}},
		"not reported":              {nil, docker.Store{Sockets: []string{ownSocket, systemSocket}, Namespace: "moby"}},
		"reported without a socket": {&system.ContainerdInfo{}, docker.Store{Sockets: []string{ownSocket, systemSocket}, Namespace: "moby"}},
	} {
		engine := dockertest.NewEngine(t)
		engine.UseContainerd()
		engine.ReportContainerd(test.reported)
		got, used, err := newClient(t, engine).Store(t.Context())
		if diff := cmp.Diff(test.want, got); err != nil || !used || diff != "" {
			t.Errorf("%s: Store = %t, %v, (-want +got):\n%s", name, used, err, diff)
		}
	}
	if got, used, err := newClient(t, dockertest.NewEngine(t)).Store(t.Context()); err != nil || used {
		t.Errorf("Store = %+v, %t, %v without the containerd image store, want none", got, used, err)
	}
}

// stored is a daemon with the containerd image store that has one image of two layers.
type stored struct {
	engine *dockertest.Engine
	blobs  string // the directory of the blobs
	image  docker.Image
	sizes  map[digest.Digest]int64
	layers []digest.Digest // as in the image manifest
}

// newStored returns a daemon whose image manifest was changed by change.
func newStored(t *testing.T, change func(*v1.Manifest)) *stored {
	t.Helper()
	root := t.TempDir()
	s := &stored{
		engine: dockertest.NewEngine(t), sizes: map[digest.Digest]int64{},
		blobs: filepath.Join(root, "containerd/daemon/io.containerd.content.v1.content/blobs/sha256"),
	}
	s.engine.UseOverlay2(root)
	s.engine.UseContainerd()
	manifest := v1.Manifest{Config: s.add(t, "config")}
	for _, layer := range []string{"compressed layer", "another"} {
		added := s.add(t, layer)
		manifest.Layers, s.layers = append(manifest.Layers, added), append(s.layers, added.Digest)
	}
	change(&manifest)
	content, err := json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	id := s.add(t, string(content)).Digest
	delete(s.sizes, id)
	s.image = docker.Image{ID: id, Manifest: id, Containerd: true}
	return s
}

// add stores a blob.
func (s *stored) add(t *testing.T, content string) v1.Descriptor {
	t.Helper()
	added := v1.Descriptor{Digest: digest.FromString(content), Size: int64(len(content))}
	if err := errors.Join(os.MkdirAll(s.blobs, 0o750), os.WriteFile(s.path(added.Digest), []byte(content), 0o600)); err != nil {
		t.Fatal(err)
	}
	s.sizes[added.Digest] = added.Size
	return added
}

// path returns the path of a blob's file.
func (s *stored) path(d digest.Digest) string { return filepath.Join(s.blobs, d.Encoded()) }

func TestSizes_OfContainerdStoreAreThoseOfBlobs(t *testing.T) {
	t.Parallel()
	s := newStored(t, func(*v1.Manifest) {})
	got, err := newClient(t, s.engine).Sizes(t.Context(), s.image)
	if diff := cmp.Diff(s.sizes, got); err != nil || diff != "" {
		t.Errorf("Sizes: error %v, (-want +got):\n%s", err, diff)
	}
}

func TestSizes_FailIfContainerdStoreLacksBlobs(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*v1.Manifest)
		damage func(s *stored) error
		want   error // nil for any error
	}{
		"no layer":           {damage: func(s *stored) error { return os.Remove(s.path(s.layers[1])) }, want: fs.ErrNotExist},
		"no image manifest":  {damage: func(s *stored) error { return os.Remove(s.path(s.image.Manifest)) }, want: fs.ErrNotExist},
		"a truncated layer":  {damage: func(s *stored) error { return os.Truncate(s.path(s.layers[0]), 3) }},
		"an unknown digest":  {damage: func(s *stored) error { s.image.Manifest = ""; return nil }},
		"another manifest":   {damage: func(s *stored) error { return os.WriteFile(s.path(s.image.Manifest), []byte("{}"), 0o600) }},
		"a digest as a path": {change: func(m *v1.Manifest) { m.Layers[0].Digest = "sha256:../../../x" }},
		"a size of nothing":  {change: func(m *v1.Manifest) { m.Config.Size = 0 }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.change == nil {
				test.change = func(*v1.Manifest) {}
			}
			s := newStored(t, test.change)
			if test.damage != nil {
				if err := test.damage(s); err != nil {
					t.Fatal(err)
				}
			}
			sizes, err := newClient(t, s.engine).Sizes(t.Context(), s.image)
			if err == nil || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("Sizes with %s = %v, %v, want the error %v", name, sizes, err, test.want)
			}
		})
	}
}
