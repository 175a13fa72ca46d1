//go:build daemon

package daemon

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/node"
	"kind-local-registry/internal/host/step"
	"kind-local-registry/test/dockerd"
)

// otherRegistry is the name of a registry image that the user chose.
const otherRegistry = "other/registry:1"

// registryState puts the registry's container into a state.
type registryState struct {
	put     func(t *testing.T, h *convergeHost)
	foreign bool // another tool created the container, so setup must not recreate it
}

// registryStates are the states of the registry's container in which setup up must converge, keyed by name.
func registryStates() map[string]registryState {
	ours := func(change ...string) func(*testing.T, *convergeHost) {
		return func(t *testing.T, h *convergeHost) {
			h.up(t)
			h.docker(t, append(change, config.RegistryContainer)...)
		}
	}
	foreign := func(network string, change ...string) func(*testing.T, *convergeHost) {
		return func(t *testing.T, h *convergeHost) {
			h.runForeign(t, network, h.port)
			if len(change) > 0 {
				h.docker(t, append(change, config.RegistryContainer)...)
			}
		}
	}
	chosen := func(change func(*convergeHost, *options)) func(*testing.T, *convergeHost) {
		return func(t *testing.T, h *convergeHost) {
			h.docker(t, "tag", h.registryImage(), otherRegistry)
			other := h.system(t, func(o *options) { change(h, o) })
			h.apply(t, []step.Step{named(t, other.Steps(), "registry")})
		}
	}
	return map[string]registryState{
		"absent":          {put: func(*testing.T, *convergeHost) {}},
		"running":         {put: func(t *testing.T, h *convergeHost) { h.up(t) }},
		"stopped":         {put: ours("stop", "-t", "1")},
		"paused":          {put: ours("pause")},
		"off the network": {put: ours("network", "disconnect", config.Network)},
		"volume lost": {put: func(t *testing.T, h *convergeHost) {
			h.up(t)
			h.docker(t, "rm", "-f", config.RegistryContainer)
			h.docker(t, "volume", "rm", config.RegistryContainer)
		}},
		"another port":             {put: chosen(func(h *convergeHost, o *options) { o.RegistryPort = h.port + 1 })},
		"another image":            {put: chosen(func(_ *convergeHost, o *options) { o.RegistryImage = otherRegistry })},
		"foreign":                  {put: foreign(config.Network), foreign: true},
		"foreign, stopped":         {put: foreign(config.Network, "stop", "-t", "1"), foreign: true},
		"foreign, paused":          {put: foreign(config.Network, "pause"), foreign: true},
		"foreign, off the network": {put: foreign("bridge"), foreign: true},
	}
}

// nodeStates are the states of a node in which setup up must converge, keyed by name.
func nodeStates(h *convergeHost) map[string]files {
	registryHost := config.RegistryHost(h.port)
	hosts := node.HostsFile(registryHost)
	const reads = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".registry]\n  config_path = \"/etc/containerd/certs.d\"\n"
	const kubelet = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"
	return map[string]files{
		"kind's":                   {node.ContainerdConfig: reads},
		"old, without config_path": {node.ContainerdConfig: "version = 2\n"},
		"config_path elsewhere": {
			node.ContainerdConfig:                        strings.Replace(reads, "/etc/containerd/", "/etc/docker/", 1),
			"/etc/docker/certs.d/reg.example/hosts.toml": "server = \"http://mirror\"\n",
		},
		"foreign hosts.toml": {
			node.ContainerdConfig: reads, hosts: "server = \"http://other\"\n",
			node.CertsDir + "/reg.example/hosts.toml": "server = \"http://mirror\"\n",
		},
		"kubelet 1.37": {node.ContainerdConfig: reads, node.KubeletConfig: kubelet},
		"kubelet 1.37 with a policy": {
			node.ContainerdConfig: reads, node.KubeletConfig: kubelet + "imagePullCredentialsVerificationPolicy: AlwaysVerify\n",
		},
		"all at once": {node.ContainerdConfig: "version = 2\n", hosts: "server = \"http://other\"\n", node.KubeletConfig: kubelet},
	}
}

// TestConverge_FromEveryState runs the steps for the registry and the nodes from each state of the registry, with one state of a node
// each, or two if E2E_FULL is set. Beside that node, the cluster has a node that setup has configured before and one that was added later.
func TestConverge_FromEveryState(t *testing.T) {
	h := newConvergeHost(t)
	nodes := nodeStates(h)
	nodeNames := slices.Sorted(maps.Keys(nodes))
	for i, registry := range slices.Sorted(maps.Keys(registryStates())) {
		for j := range count(1, 2) {
			name := nodeNames[(2*i+j)%len(nodeNames)]
			t.Run(registry+"; "+name, func(t *testing.T) { h.converge(t, registryStates()[registry], nodes[name]) })
		}
	}
}

// converge puts registry and nodes into a state, and checks that setup up converges, that a second one changes nothing, and that
// setup down restores the nodes' files.
func (h *convergeHost) converge(t *testing.T, registry registryState, before files) {
	h.reset(t)
	registry.put(t, h)
	fresh := files{node.ContainerdConfig: before[node.ContainerdConfig]}
	h.runNode(t, "configured", fresh)
	h.upNodes(t)
	h.runNode(t, "first", before)
	h.runNode(t, "later", fresh)
	id, first := h.registryID(), h.files(t, "first")

	if changed := h.upAll(t); !changed {
		t.Error("setup up changes nothing")
	}
	for _, status := range step.CheckAll(t.Context(), h.both(t), silent{}) {
		if !status.OK {
			t.Errorf("step %s after setup up: %s", status.Step, status.Detail)
		}
	}
	if registry.foreign && h.registryID() != id {
		t.Error("setup up recreated a registry that it did not create")
	}
	after, id := h.files(t, "first"), h.registryID()
	if h.upAll(t) {
		t.Error("a second setup up changes something")
	}
	if diff := cmp.Diff(after, h.files(t, "first")); diff != "" || h.registryID() != id {
		t.Errorf("a second setup up: registry recreated: %t, files (-before +after):\n%s", h.registryID() != id, diff)
	}

	if _, err := named(t, h.both(t), "nodes").Undo(t.Context()); err != nil {
		t.Fatalf("setup down: %v", err)
	}
	for name, want := range map[string]files{"first": first, "later": fresh, "configured": fresh} {
		if diff := cmp.Diff(want, h.files(t, name)); diff != "" {
			t.Errorf("node %s after setup down (-want +got):\n%s", name, diff)
		}
	}
}

// TestConverge_RefusesBeforeAChange tests the states in which setup must not touch anything.
func TestConverge_RefusesBeforeAChange(t *testing.T) {
	h := newConvergeHost(t)
	const registry = "[plugins.\"io.containerd.grpc.v1.cri\".registry"
	for name, test := range map[string]struct {
		config string
		put    func(t *testing.T)
		want   string
	}{
		"a mirrors table": {
			config: registry + ".mirrors.\"docker.io\"]\nendpoint = [\"http://mirror\"]\n",
			want:   "node first: containerd is configured with registry.mirrors",
		},
		"TLS settings": {
			config: registry + ".configs.\"reg.example\".tls]\nca_file = \"/ca\"\n",
			want:   "node first: containerd is configured with registry.configs.tls",
		},
		"a foreign registry on another port": {
			put: func(t *testing.T) {
				h.runForeign(t, config.Network, h.port+1)
				h.docker(t, "stop", "-t", "1", config.RegistryContainer)
			},
			want: fmt.Sprintf("container kind-registry publishes port %d, not %d; use --registry-port %d", h.port+1, h.port, h.port+1),
		},
		"another program on the port": {
			put: func(t *testing.T) {
				listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(h.port)))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = listener.Close() })
			},
			want: fmt.Sprintf("port %d on 127.0.0.1 is used by a process other than kind-registry; stop the program", h.port),
		},
		"an old Kubernetes": {
			put:  func(t *testing.T) { h.runNode(t, "old", files{"/kind/version": "v1.26.6"}) },
			want: "kind cluster converge runs Kubernetes 1.26.6; 1.27 is needed",
		},
	} {
		t.Run(name, func(t *testing.T) {
			h.reset(t)
			h.runNode(t, "first", files{node.ContainerdConfig: "version = 2\n" + test.config})
			if test.put != nil {
				test.put(t)
			}
			before, containers := h.files(t, "first"), h.docker(t, "ps", "-aq", "--no-trunc")
			if err := h.system(t, nil).Preflight(t.Context()); err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("Preflight = %v, want %q", err, test.want)
			}
			if diff := cmp.Diff(before, h.files(t, "first")); diff != "" || h.docker(t, "ps", "-aq", "--no-trunc") != containers {
				t.Errorf("Preflight changes containers, or files (-before +after):\n%s", diff)
			}
		})
	}
}

// newConvergeHost starts a daemon with an image for nodes.
func newConvergeHost(t *testing.T) *convergeHost {
	t.Helper()
	h := &convergeHost{newHost(t, ownImages(t), dockerd.Overlay2, nil)}
	h.importNodeImage(t)
	t.Cleanup(func() { h.remove() })
	return h
}
