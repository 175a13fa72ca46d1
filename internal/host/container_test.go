package host

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/api/types/system"
	"github.com/moby/moby/client"

	"kind-local-registry/internal/docker"
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

func TestCreate_LeavesOutDirectoriesThatTheDaemonLacks(t *testing.T) {
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
	p := piece{Name: "pusher", Image: "sha256:aa", Network: "kind", Reads: []string{absent, "/var/lib/containerd/content"}}

	id, err := (&System{docker: api}).create(t.Context(), p, "pusher-next", nil)

	if err != nil || id != "made" {
		t.Fatalf("create = %q, %v", id, err)
	}
	if len(made.HostConfig.Mounts) != 1 || made.HostConfig.Mounts[0].Source != p.Reads[1] {
		t.Errorf("mounts %+v, want %s alone", made.HostConfig.Mounts, p.Reads[1])
	}
	if got := made.Labels[fingerprintLabel]; got != p.fingerprint() {
		t.Errorf("label %s = %s, want that of the piece with all directories, %s", fingerprintLabel, got, p.fingerprint())
	}
}

func TestImageDirectories_DependOnTheDaemonAlone(t *testing.T) {
	t.Parallel()
	info := system.Info{DockerRootDir: filepath.Join(t.TempDir(), "none"), Driver: "overlay2"}
	s := &System{layout: docker.NewLayout(info)}
	if got, want := s.imageDirectories(), s.layout.Directories(); !slices.Equal(got, want) {
		t.Errorf("imageDirectories = %q, want %q whatever can be seen of them here", got, want)
	}
}

func TestHostConfig_ConfinesContainers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		piece piece
		drops []string
	}{
		"an image that setup carries": {piece{Capabilities: []string{"DAC_OVERRIDE"}}, []string{"ALL"}},
		"an image that a user chose":  {piece{Chosen: "registry:2"}, nil},
	} {
		got, _, err := test.piece.hostConfig()
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got.SecurityOpt, []string{"no-new-privileges"}) {
			t.Errorf("%s: security options %q, want no-new-privileges", name, got.SecurityOpt)
		}
		if !slices.Equal(got.CapDrop, test.drops) || !slices.Equal(got.CapAdd, test.piece.Capabilities) || got.ReadonlyRootfs != (test.drops != nil) {
			t.Errorf("%s: drops %q, adds %q, read-only %t; want drops %q, adds %q and read-only if it drops any",
				name, got.CapDrop, got.CapAdd, got.ReadonlyRootfs, test.drops, test.piece.Capabilities)
		}
	}
}
