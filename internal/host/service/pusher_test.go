package service

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/api/types/system"

	"kind-local-registry/config"
	"kind-local-registry/internal/docker"
	"kind-local-registry/internal/host/engine"
	"kind-local-registry/internal/host/step"
	"kind-local-registry/internal/pusher"
)

func TestPusher_UsesSocketOfCarriedRegistryOnly(t *testing.T) {
	t.Parallel()
	const socket, address = "unix:///run/kind-registry/registry.sock", "http://kind-registry:5000"
	ours := func(w *world, image string) { w.openRegistry(t, image).mustApply(t) }
	for name, test := range map[string]struct {
		prepare func(w *world, image string)
		image   string
		want    string
	}{
		"no registry yet":             {func(*world, string) {}, "", socket},
		"the carried registry":        {ours, "", socket},
		"an adopted registry":         {func(w *world, _ string) { w.adopted() }, "", address},
		"a registry of another image": {ours, "registry:2", address},
	} {
		w := newWorld(t)
		test.prepare(w, test.image)
		c, err := w.openPusher(t, Rules{}).container(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(c.Command, test.want) || slices.Contains(c.Mounts, registrySocketMount) != (test.want == socket) {
			t.Errorf("%s: the pusher is %v with %v, want it to write to %s", name, c.Command, c.Mounts, test.want)
		}
	}
}

func TestImageDirectories_DependOnTheDaemonAlone(t *testing.T) {
	t.Parallel()
	info := system.Info{DockerRootDir: filepath.Join(t.TempDir(), "none"), Driver: "overlay2"}
	layout := docker.NewLayout(info)
	p := &Pusher{engine: &engine.Engine{Layout: layout}}
	if got, want := p.imageDirectories(), layout.Directories(); !slices.Equal(got, want) {
		t.Errorf("imageDirectories = %q, want %q, although none of them exists", got, want)
	}
	p.engine.Virtual = true
	if got := p.imageDirectories(); len(got) > 0 {
		t.Errorf("imageDirectories = %q for a virtual machine, want none", got)
	}
}

func TestPusher_ApplyCreatesCertificates(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.openPusher(t, Rules{})
	if state, err := p.check(t.Context()); err != nil || state.Detail != "no container kind-registry-pusher" {
		t.Errorf("before: %+v, %v", state, err)
	}
	if _, err := p.Credentials(t.Context()); !errors.Is(err, step.ErrMissing) {
		t.Errorf("Credentials without a pusher = %v, want %v", err, step.ErrMissing)
	}
	p.mustApply(t)
	credentials, err := p.Credentials(t.Context())
	if err != nil || checkCertificates(credentials) != nil {
		t.Errorf("Credentials = %v, invalid: %v", err, checkCertificates(credentials))
	}
}

func TestEnsureCredentials_KeepsValidCertificates(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.openPusher(t, Rules{})
	p.mustApply(t)
	files := w.daemon.Containers[config.PusherContainer].Files
	before := maps.Clone(files)
	if err := p.ensureCredentials(t.Context(), config.PusherContainer); err != nil || !maps.EqualFunc(before, files, bytes.Equal) {
		t.Errorf("valid certificates are replaced (error %v)", err)
	}
	files[certsDir+"/"+pusher.CAFile] = nil
	if err := p.ensureCredentials(t.Context(), config.PusherContainer); err != nil || len(files[certsDir+"/"+pusher.CAFile]) == 0 {
		t.Errorf("invalid certificates are kept (error %v)", err)
	}
}

func TestPusher_CheckReportsInvalidCertificates(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.openPusher(t, Rules{})
	p.mustApply(t)
	w.daemon.Containers[config.PusherContainer].Files[certsDir+"/"+pusher.ServerCertFile] = []byte("broken")
	state, err := p.check(t.Context())
	if err != nil || state.OK || !strings.HasPrefix(state.Detail, "certificates of kind-registry-pusher: ") {
		t.Errorf("check = %+v, %v", state, err)
	}
}

func TestPusher_UndoKeepsItForOtherClusters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.openPusher(t, Rules{})
	p.mustApply(t)
	w.others = []string{"other"}
	if detail, err := p.undo(t.Context()); err != nil || detail != "kept: it serves kind cluster other too" || w.daemon.Containers[config.PusherContainer] == nil {
		t.Errorf("undo = %q, %v", detail, err)
	}
	w.others = nil
	if detail, err := p.undo(t.Context()); err != nil || detail != "kind-registry-pusher removed" || w.daemon.Containers[config.PusherContainer] != nil || w.daemon.Volumes[config.PusherContainer] {
		t.Errorf("undo = %q, %v with volumes %v", detail, err, w.daemon.Volumes)
	}
}

func TestImagesStep_UndoKeepsTheImageOfAPusher(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.daemon.AddContainer(config.PusherContainer, nil)
	if detail, err := ImagesStep(w.openRegistry(t, "")).Undo(t.Context()); err != nil || !strings.HasPrefix(detail, "kept: ") || len(w.daemon.Images) != 2 {
		t.Errorf("undo of the images = %q, %v", detail, err)
	}
	delete(w.daemon.Containers, config.PusherContainer)
	if detail, err := ImagesStep(w.openRegistry(t, "")).Undo(t.Context()); err != nil || detail != WebhookImage()+" removed" || len(w.daemon.Images) != 1 {
		t.Errorf("undo of the images = %q, %v", detail, err)
	}
}

func TestPusher_ConnectNeedsRegistryAndPusher(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.openPusher(t, Rules{})
	wantError := func(want string) {
		t.Helper()
		if client, err := p.Connect(t.Context()); client != nil || err == nil || err.Error() != want {
			t.Errorf("Connect = %v, want %q", err, want)
		}
	}
	wantError("no container kind-registry; run setup up")
	p.registry.mustApply(t)
	wantError("no container kind-registry-pusher; run setup up")
	p.mustApply(t)
	wantError("container kind-registry-pusher publishes no port; run setup up")
	made := w.daemon.Containers[config.PusherContainer]
	made.NetworkSettings.Ports = network.PortMap{
		network.MustParsePort("5443/tcp"): {{HostIP: netip.MustParseAddr("127.0.0.1"), HostPort: "32768"}},
	}
	client, err := p.Connect(t.Context())
	if err != nil {
		t.Fatalf("Connect = %v", err)
	}
	client.Close()
	made.State = &container.State{Status: container.StateExited}
	wantError("container kind-registry-pusher is exited; run setup up")
}

func TestPusher_AddressIsOnTheKindNetwork(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.openPusher(t, Rules{})
	prefers := func(ipv6 bool) func(context.Context) (bool, error) {
		return func(context.Context) (bool, error) { return ipv6, nil }
	}
	if _, err := p.Address(t.Context(), prefers(false)); err == nil || err.Error() != "kind-registry-pusher does not exist yet" {
		t.Errorf("Address = %v without a pusher", err)
	}
	p.mustApply(t)
	endpoint := &network.EndpointSettings{IPAddress: netip.MustParseAddr("172.18.255.252"), GlobalIPv6Address: netip.MustParseAddr("fc00::1")}
	w.daemon.Containers[config.PusherContainer].NetworkSettings.Networks["kind"] = endpoint
	for ipv6, want := range map[bool]string{false: "172.18.255.252", true: "fc00::1"} {
		if got, err := p.Address(t.Context(), prefers(ipv6)); err != nil || got != want {
			t.Errorf("Address(IPv6 %t) = %q, %v; want %s", ipv6, got, err, want)
		}
	}
	endpoint.GlobalIPv6Address = netip.Addr{}
	want := "the cluster's pods use IPv6, and Docker network kind has no IPv6 addresses; delete the clusters"
	if got, err := p.Address(t.Context(), prefers(true)); got != "" || err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("Address(IPv6) = %q, %v on a network without IPv6; want %q", got, err, want)
	}
}
