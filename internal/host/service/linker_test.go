package service

import (
	"slices"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/system"

	"kind-local-registry/config"
	"kind-local-registry/internal/docker"
)

// openLinker opens the linker beside a pusher with the given choice of --link.
func (w *world) openLinker(t *testing.T, registryImage, link string) *Linker {
	t.Helper()
	w.daemon.AddImage(LinkerImage(), "sha256:linker")
	pusher, err := OpenPusher(t.Context(), w.openRegistry(t, registryImage), PusherOptions{Link: link})
	if err != nil {
		t.Fatal(err)
	}
	return NewLinker(pusher)
}

func TestLinker_HasNoNetworkAndFewPrivileges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mustApply(t, w.openLinker(t, "", "").Step())
	made := w.daemon.Containers[config.LinkerContainer]
	if made.HostConfig.NetworkMode != container.NetworkMode("none") || len(made.HostConfig.PortBindings) > 0 {
		t.Errorf("network %q with ports %v, want none", made.HostConfig.NetworkMode, made.HostConfig.PortBindings)
	}
	if made.HostConfig.PidMode != "host" || !made.HostConfig.ReadonlyRootfs || !slices.Equal(made.HostConfig.CapDrop, []string{"ALL"}) {
		t.Errorf("PID mode %q, read-only root file system %t, dropped capabilities %v", made.HostConfig.PidMode, made.HostConfig.ReadonlyRootfs, made.HostConfig.CapDrop)
	}
	if got := made.HostConfig.Mounts; len(got) != 1 || got[0].Source != "/var/lib/docker" || got[0].Target != got[0].Source || got[0].ReadOnly {
		t.Errorf("mounts = %+v, want Docker's data directory, writable, at the same path", got)
	}
}

func TestLinker_MountsLayersAndVolumesTogether(t *testing.T) {
	t.Parallel()
	for socket, want := range map[string]string{
		"/var/run/docker/containerd/containerd.sock": "/var/lib/docker", "/run/containerd/containerd.sock": "/var/lib",
	} {
		w := newWorld(t)
		w.useContainerd("/var/lib/docker", socket)
		mustApply(t, w.openLinker(t, "", "").Step())
		got := w.daemon.Containers[config.LinkerContainer].HostConfig.Mounts
		if len(got) != 1 || got[0].Source != want || got[0].Target != want || got[0].ReadOnly {
			t.Errorf("mounts with the containerd at %s = %+v, want %s, writable, at the same path", socket, got, want)
		}
	}
}

// useContainerd makes the daemon keep its layers in the containerd at a socket.
func (w *world) useContainerd(root, socket string) {
	info := system.Info{
		DockerRootDir: root, Driver: "overlayfs", DriverStatus: [][2]string{{"driver-type", "io.containerd.snapshotter.v1"}},
		Containerd: &system.ContainerdInfo{Address: socket},
	}
	w.engine.Layout = docker.NewLayout(info)
}

func TestLinker_IsRemovedIfNothingIsLinked(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		image, link string
		change      func(w *world)
		want        string
	}{
		"switched off":     {"", linkOff, func(*world) {}, "--link=off"},
		"another registry": {"registry:2", "", func(*world) {}, "only the registry that setup carries"},
		"virtual machine":  {"", "", func(w *world) { w.engine.Virtual = true }, "virtual machine"},
		"only / contains layers and volumes": {"", "", func(w *world) {
			w.useContainerd("/data/docker", "/run/containerd/containerd.sock")
		}, docker.ErrSeparateDirectories.Error()},
	} {
		w := newWorld(t)
		mustApply(t, w.openLinker(t, "", "auto").Step())
		test.change(w)
		linker := w.openLinker(t, test.image, test.link)
		if state, err := linker.check(t.Context()); err != nil || state.OK || !strings.Contains(state.Detail, "is not needed") {
			t.Errorf("%s: before: %+v, %v", name, state, err)
		}
		state := mustApply(t, linker.Step())
		if !strings.HasPrefix(state.Detail, "nodes pull every layer: ") || !strings.Contains(state.Detail, test.want) {
			t.Errorf("%s: state %+v, want the reason %q", name, state, test.want)
		}
		if w.daemon.Containers[config.LinkerContainer] != nil {
			t.Errorf("%s: the linker still exists", name)
		}
	}
}

func TestLinker_KeepsTheExistingChoice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	off := w.openLinker(t, "", linkOff)
	mustApply(t, off.pusher.Step())
	if linker := w.openLinker(t, "", ""); linker.pusher.link != linkOff {
		t.Errorf("link = %q without a choice, want that of the existing pusher, %q", linker.pusher.link, linkOff)
	}
	on := w.openLinker(t, "", "auto")
	if on.pusher.link != "" {
		t.Errorf("link = %q, want auto", on.pusher.link)
	}
	mustApply(t, on.pusher.Step())
	if command := w.daemon.Containers[config.PusherContainer].Config.Cmd; !slices.Contains(command, config.LinkerSocket) {
		t.Errorf("command of the pusher = %v, want it to name the linker's socket", command)
	}
}

func TestLinker_UndoKeepsItForOtherClusters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	linker := w.openLinker(t, "", "")
	mustApply(t, linker.Step())
	w.others = []string{"other"}
	if detail, err := linker.undo(t.Context()); err != nil || !strings.HasPrefix(detail, "kept: ") || w.daemon.Containers[config.LinkerContainer] == nil {
		t.Errorf("undo = %q, %v", detail, err)
	}
	w.others = nil
	if detail, err := linker.undo(t.Context()); err != nil || w.daemon.Containers[config.LinkerContainer] != nil {
		t.Errorf("undo = %q, %v", detail, err)
	}
}
