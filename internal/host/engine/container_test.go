package engine

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
)

func TestHostConfig_PublishesPortOnLoopbackOnly(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		container Container
		want      string // host port; "" if Docker chooses it
	}{
		"at a port of the user's choice": {Container{HostPort: 5001, ContainerPort: 5000}, "5001"},
		"at a port of Docker's choice":   {Container{ContainerPort: 5000}, ""},
	} {
		hostConfig, exposed, err := test.container.hostConfig()
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
	if hostConfig, exposed, err := (Container{}).hostConfig(); err != nil || len(hostConfig.PortBindings)+len(exposed) != 0 {
		t.Errorf("a container without a port publishes %v, %v (error %v)", hostConfig.PortBindings, exposed, err)
	}
}

func TestPublished_FindsPortOnLoopbackOnly(t *testing.T) {
	t.Parallel()
	running := &Found{container.InspectResponse{NetworkSettings: &container.NetworkSettings{Ports: network.PortMap{
		network.MustParsePort("5443/tcp"): {{HostIP: netip.MustParseAddr("0.0.0.0"), HostPort: "1"}, {HostIP: loopback, HostPort: "32768"}},
		network.MustParsePort("80/tcp"):   {{HostIP: loopback, HostPort: "8080"}},
		network.MustParsePort("81/tcp"):   nil,
	}}}}
	for port, want := range map[int]string{5443: "127.0.0.1:32768", 80: "127.0.0.1:8080", 81: "", 82: ""} {
		if got := running.Published(port); got != want {
			t.Errorf("Published(%d) = %q, want %q", port, got, want)
		}
	}
	if got := new(Found).Published(5443); got != "" {
		t.Errorf("Published = %q for a container without networks", got)
	}
}

func TestCreate_LeavesOutMissingDirectories(t *testing.T) {
	t.Parallel()
	const absent = "/var/lib/docker/containerd/daemon/content"
	var made container.CreateRequest
	daemon := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/containers/create") {
			return
		}
		made = container.CreateRequest{}
		if err := json.NewDecoder(r.Body).Decode(&made); err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "application/json")
		for _, mount := range made.HostConfig.Mounts {
			if mount.Source == absent {
				w.WriteHeader(http.StatusBadRequest)
				_, _ = io.WriteString(w, `{"message": "invalid mount config for type \"bind\": bind source path does not exist: `+absent+`"}`)
				return
			}
		}
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"Id": "made"}`)
	}))
	t.Cleanup(daemon.Close)
	api, err := client.New(client.WithHost("tcp://"+daemon.Listener.Addr().String()), client.WithAPIVersion("1.45"))
	if err != nil {
		t.Fatal(err)
	}
	c := Container{Name: "pusher", Image: "sha256:aa", Network: "kind", Reads: []string{absent, "/var/lib/containerd/content"}}

	id, err := (&Engine{client: api}).create(t.Context(), c, "pusher-next", nil)

	if err != nil || id != "made" {
		t.Fatalf("create = %q, %v", id, err)
	}
	if len(made.HostConfig.Mounts) != 1 || made.HostConfig.Mounts[0].Source != c.Reads[1] {
		t.Errorf("mounts %+v, want %s alone", made.HostConfig.Mounts, c.Reads[1])
	}
	if got := made.Labels[fingerprintLabel]; got != c.fingerprint() {
		t.Errorf("label %s = %s, want that of the description with all directories, %s", fingerprintLabel, got, c.fingerprint())
	}
}

func TestHostConfig_ConfinesContainers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		container Container
		drops     []string
	}{
		"an image that setup carries": {Container{Capabilities: []string{"DAC_OVERRIDE"}}, []string{"ALL"}},
		"an image that a user chose":  {Container{Chosen: "registry:2"}, nil},
	} {
		got, _, err := test.container.hostConfig()
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got.SecurityOpt, []string{"no-new-privileges"}) {
			t.Errorf("%s: security options %q, want no-new-privileges", name, got.SecurityOpt)
		}
		if !slices.Equal(got.CapDrop, test.drops) || !slices.Equal(got.CapAdd, test.container.Capabilities) || got.ReadonlyRootfs != (test.drops != nil) {
			t.Errorf("%s: drops %q, adds %q, read-only %t; want drops %q, adds %q and read-only if it drops any",
				name, got.CapDrop, got.CapAdd, got.ReadonlyRootfs, test.drops, test.container.Capabilities)
		}
	}
}
