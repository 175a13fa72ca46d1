package host

import (
	"net/netip"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
)

func TestHostConfig_PublishesAPortOnTheLoopbackOnly(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		piece piece
		want  string // the host's port; "" for one that Docker chooses
	}{
		"at a port of the user's choice": {piece{HostPort: 5001, ContainerPort: 5000}, "5001"},
		"at a port of Docker's choice":   {piece{ContainerPort: 5000}, ""},
	} {
		hostConfig, exposed, err := test.piece.hostConfig()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		inside := network.MustParsePort("5000/tcp")
		bindings := hostConfig.PortBindings[inside]
		if _, found := exposed[inside]; !found || len(bindings) != 1 {
			t.Fatalf("%s: exposed %v, bound %v; want port 5000 once", name, exposed, bindings)
		}
		if bindings[0].HostIP != loopback || bindings[0].HostPort != test.want {
			t.Errorf("%s: bound to %+v, want port %q on %s", name, bindings[0], test.want, loopback)
		}
	}
	if hostConfig, exposed, err := (piece{}).hostConfig(); err != nil || len(hostConfig.PortBindings)+len(exposed) != 0 {
		t.Errorf("a piece without a port publishes %v, %v (error %v)", hostConfig.PortBindings, exposed, err)
	}
}

func TestPublished_FindsThePortOnTheLoopbackOnly(t *testing.T) {
	t.Parallel()
	running := &container.InspectResponse{NetworkSettings: &container.NetworkSettings{Ports: network.PortMap{
		network.MustParsePort("5443/tcp"): {{HostIP: netip.MustParseAddr("0.0.0.0"), HostPort: "1"}, {HostIP: loopback, HostPort: "32768"}},
		network.MustParsePort("80/tcp"):   {{HostIP: loopback, HostPort: "8080"}},
		network.MustParsePort("81/tcp"):   nil,
	}}}
	for port, want := range map[int]string{5443: "127.0.0.1:32768", 80: "127.0.0.1:8080", 81: "", 82: ""} {
		if got := published(running, port); got != want {
			t.Errorf("published(%d) = %q, want %q", port, got, want)
		}
	}
	if got := published(&container.InspectResponse{}, 5443); got != "" {
		t.Errorf("published = %q for a container without networks", got)
	}
}
