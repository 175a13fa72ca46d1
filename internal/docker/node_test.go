package docker_test

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"kind-local-registry/internal/docker"
	"kind-local-registry/internal/host/engine/enginetest"
)

// addNode adds a running container of a kind cluster.
func addNode(daemon *enginetest.Daemon, name string, pid int) *enginetest.Container {
	added := daemon.AddContainer(name, map[string]string{"io.x-k8s.kind.cluster": "c-" + name, "io.x-k8s.kind.role": "worker"})
	added.State.Pid = pid
	return added
}

// nodes returns the daemon's nodes, sorted by name.
func nodes(t *testing.T, daemon *enginetest.Daemon) []docker.Node {
	t.Helper()
	client, err := docker.New(daemon.Host())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	found, err := client.Nodes(t.Context())
	if err != nil {
		t.Fatalf("Nodes: %v", err)
	}
	slices.SortFunc(found, func(a, b docker.Node) int { return strings.Compare(a.Name, b.Name) })
	return found
}

func TestNodes_ReturnsRunningKindNodes(t *testing.T) {
	t.Parallel()
	daemon := enginetest.New(t)
	addNode(daemon, "plain", 10)
	addNode(daemon, "two-networks", 11).NetworkSettings.Networks = map[string]*network.EndpointSettings{
		"kind": {IPAddress: netip.MustParseAddr("172.18.0.2"), GlobalIPv6Address: netip.MustParseAddr("fc00::2")},
		"more": {IPAddress: netip.MustParseAddr("172.19.0.2")},
	}
	addNode(daemon, "disconnected", 12).NetworkSettings.Networks = nil
	addNode(daemon, "stopped", 0)
	addNode(daemon, "stateless", 13).State = nil
	daemon.AddContainer("of-another-tool", map[string]string{"io.x-k8s.other": "x"}).State.Pid = 14
	got := nodes(t, daemon)
	want := []docker.Node{
		{Name: "disconnected", Cluster: "c-disconnected", PID: 12},
		{Name: "plain", Cluster: "c-plain", PID: 10, Addresses: []string{"172.18.0.9"}},
		{Name: "two-networks", Cluster: "c-two-networks", PID: 11, Addresses: []string{"172.18.0.2", "172.19.0.2", "fc00::2"}},
	}
	sorted := cmpopts.SortSlices(func(a, b string) bool { return a < b })
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(docker.Node{}), sorted); diff != "" {
		t.Errorf("Nodes (-want +got):\n%s", diff)
	}
}

func TestNodes_SkipsANodeThatHasJustStopped(t *testing.T) {
	t.Parallel()
	daemon := enginetest.New(t)
	addNode(daemon, "stays", 10)
	gone := addNode(daemon, "gone", 11)
	daemon.Refuse = func(_, path string, _ []byte) (int, string) {
		if path == "/containers/"+gone.ID+"/json" {
			return http.StatusNotFound, "No such container"
		}
		return 0, ""
	}
	if got := nodes(t, daemon); len(got) != 1 || got[0].Name != "stays" {
		t.Errorf("Nodes = %+v, want only the one that still runs", got)
	}
}

func TestNodes_ReturnsErrorOfTheDaemon(t *testing.T) {
	t.Parallel()
	daemon := enginetest.New(t)
	daemon.Refuse = func(_, path string, _ []byte) (int, string) {
		if path == "/containers/json" {
			return http.StatusInternalServerError, "in a test"
		}
		return 0, ""
	}
	client, err := docker.New(daemon.Host())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	if found, err := client.Nodes(t.Context()); err == nil || !strings.Contains(err.Error(), "in a test") {
		t.Errorf("Nodes = %+v, %v, want the daemon's error", found, err)
	}
}

func TestHostPath_FollowsTheLongestMount(t *testing.T) {
	t.Parallel()
	mount := func(destination, source string) container.MountPoint {
		return container.MountPoint{Destination: destination, Source: source}
	}
	usual := []container.MountPoint{
		mount("/var", "/docker/volumes/v/_data"), mount("/lib/modules", "/lib/modules"),
		mount("/var/lib/containerd", "/disk"), mount("/run", ""), // a tmpfs has no source
	}
	for name, test := range map[string]struct {
		mounts []container.MountPoint
		file   string
		want   string // "" if the file is on no mount
	}{
		"on a mount":                     {usual, "/var/lib/kubelet", "/docker/volumes/v/_data/lib/kubelet"},
		"the mount itself":               {usual, "/var", "/docker/volumes/v/_data"},
		"on the longer of two mounts":    {usual, "/var/lib/containerd/x", "/disk/x"},
		"the longer mount itself":        {usual, "/var/lib/containerd", "/disk"},
		"beside the longer mount":        {usual, "/var/lib/containerd2/x", "/docker/volumes/v/_data/lib/containerd2/x"},
		"a name that begins like one":    {usual, "/variable/x", ""},
		"on no mount":                    {usual, "/etc/hosts", ""},
		"on a tmpfs":                     {usual, "/run/containerd", ""},
		"a tmpfs on a mount":             {append(usual[:4:4], mount("/var/tmp", "")), "/var/tmp/x", ""},
		"no mounts":                      {nil, "/var/x", ""},
		"on a mount on /":                {append(usual[:4:4], mount("/", "/root")), "/etc/hosts", "/root/etc/hosts"},
		"/ itself":                       {append(usual[:4:4], mount("/", "/root")), "/", "/root"},
		"on a longer mount than /":       {append(usual[:4:4], mount("/", "/root")), "/var/x", "/docker/volumes/v/_data/x"},
		"out of the mount":               {usual, "/var/../etc/hosts", ""},
		"out of the mount and back":      {usual, "/var/lib/../../var/x", "/docker/volumes/v/_data/x"},
		"above /":                        {usual, "/var/../../../../var/x", "/docker/volumes/v/_data/x"},
		"out of the mount to a longer":   {usual, "/var/tmp/../lib/containerd/x", "/disk/x"},
		"out of the longer mount":        {usual, "/var/lib/containerd/../x", "/docker/volumes/v/_data/lib/x"},
		"mounts in another order":        {[]container.MountPoint{usual[2], usual[0]}, "/var/lib/containerd/x", "/disk/x"},
		"a path with repeated slashes":   {usual, "/var//lib///x", "/docker/volumes/v/_data/lib/x"},
		"a path that ends with a slash":  {usual, "/var/", "/docker/volumes/v/_data"},
		"a relative path is on no mount": {usual, "var/x", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			daemon := enginetest.New(t)
			addNode(daemon, "node", 1).Mounts = test.mounts
			got, found := nodes(t, daemon)[0].HostPath(test.file)
			if got != test.want || found != (test.want != "") {
				t.Errorf("HostPath(%q) = %q, %t, want %q", test.file, got, found, test.want)
			}
		})
	}
}
