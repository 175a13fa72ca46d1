package engine

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"kind-local-registry/config"
)

// pusher describes a container for these tests.
func pusher() Container {
	return Container{Name: "pusher", Image: "sha256:aa", Network: "kind", FromTop: 3, Mounts: []string{"certs:/etc/certs", "/a:/b"}}
}

func TestCheck_NamesTheFault(t *testing.T) {
	t.Parallel()
	docker, daemon := open(t)
	want := func(detail string) {
		t.Helper()
		if state, err := docker.Check(t.Context(), pusher()); err != nil || state.OK || state.Detail != detail {
			t.Errorf("Check = %+v, %v; want %q", state, err, detail)
		}
	}
	want("no container pusher")
	added := daemon.AddContainer("pusher", nil)
	want("container pusher was created by another version of setup or with other options")
	added.Config.Labels = pusher().labels()
	delete(added.NetworkSettings.Networks, "kind")
	want("container pusher is not on network kind")
	added.State = &container.State{Status: container.StateRestarting}
	want("container pusher is restarting")
}

func TestRun_GivesFixedAddressIfNetworkHasSubnet(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		labels map[string]string // the network's labels
		want   string
	}{
		"setup created the network": {map[string]string{config.Label: "network"}, "pusher at 172.18.255.252"},
		"kind created the network":  {nil, "pusher at 172.18.0.9 (not fixed: the network was created without a subnet; see docs/operations.md)"},
	} {
		docker, daemon := open(t)
		daemon.Networks["kind"].Labels = test.labels
		if err := docker.Run(t.Context(), pusher(), nil); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if state, err := docker.Check(t.Context(), pusher()); err != nil || !state.OK || state.Detail != test.want {
			t.Errorf("%s: Check = %+v, %v; want %q", name, state, err, test.want)
		}
		if !daemon.Volumes["certs"] || len(daemon.Volumes) != 1 {
			t.Errorf("%s: volumes %v, want certs alone", name, daemon.Volumes)
		}
	}
}

func TestDescribe_NamesTheAddressOnANetworkWithoutIPv4(t *testing.T) {
	t.Parallel()
	address := netip.MustParseAddr("fc00::fffd")
	found := &Found{container.InspectResponse{Name: "/pusher"}}
	for want, fixed := range map[string]*network.EndpointIPAMConfig{
		"pusher at fc00::fffd": {IPv6Address: address},
		"pusher at fc00::fffd (not fixed: the network was created without a subnet; see docs/operations.md)": nil,
	} {
		if got := found.Describe(&network.EndpointSettings{GlobalIPv6Address: address, IPAMConfig: fixed}); got != want {
			t.Errorf("Describe = %q, want %q", got, want)
		}
	}
}

func TestRun_CreatesNewContainerBeforeRemovingOld(t *testing.T) {
	t.Parallel()
	docker, daemon := open(t)
	old := daemon.AddContainer("pusher", nil)
	daemon.AddContainer("pusher-next", nil) // left behind by an interrupted run
	err := docker.Run(t.Context(), pusher(), func(_ context.Context, id string) error {
		if id == old.ID || daemon.Containers["pusher"].ID != old.ID {
			t.Error("the old container is removed before the new one is prepared")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := daemon.Containers["pusher"]; len(daemon.Containers) != 1 || got.ID == old.ID || !got.State.Running {
		t.Errorf("containers %v, want the new one alone, running", daemon.Containers)
	}
}

func TestRun_KeepsOldContainerIfNewOneFails(t *testing.T) {
	t.Parallel()
	failed := errors.New("disk full")
	docker, daemon := open(t)
	old := daemon.AddContainer("pusher", nil)
	err := docker.Run(t.Context(), pusher(), func(context.Context, string) error { return failed })
	if !errors.Is(err, failed) || !strings.HasPrefix(err.Error(), "starting container pusher: ") {
		t.Errorf("Run = %v, want %v", err, failed)
	}
	daemon.Refuse = func(_, path string, _ []byte) (int, string) {
		if path == "/containers/create" {
			return http.StatusNotFound, "No such image"
		}
		return 0, ""
	}
	if err := docker.Run(t.Context(), pusher(), nil); err == nil || !strings.HasPrefix(err.Error(), "creating container pusher: ") {
		t.Errorf("Run = %v, want Docker's error", err)
	}
	if len(daemon.Containers) != 1 || daemon.Containers["pusher"].ID != old.ID {
		t.Errorf("containers %v, want the old one alone", daemon.Containers)
	}
}
