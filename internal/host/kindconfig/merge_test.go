package kindconfig

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kind-local-registry/internal/host/node"
	"kind-local-registry/internal/yamltext"
)

func TestMerge_LosesNothing(t *testing.T) {
	t.Parallel()
	forEachConfig(t, func(t *testing.T, text string) {
		t.Helper()
		merged := mustMerge(t, text, true)
		if diff := cmp.Diff(values(t, text), values(t, merged)); diff != "" {
			t.Errorf("values (-want +got):\n%s\nin\n%s", diff, merged)
		}
		if diff := cmp.Diff(comments(t, text), comments(t, merged)); diff != "" {
			t.Errorf("comments (-want +got):\n%s\nin\n%s", diff, merged)
		}
	})
}

func TestMerge_IsIdempotent(t *testing.T) {
	t.Parallel()
	forEachConfig(t, func(t *testing.T, text string) {
		t.Helper()
		merged := mustMerge(t, text, true)
		if diff := cmp.Diff(merged, mustMerge(t, merged, true)); diff != "" {
			t.Errorf("a second Merge changes the text (-first +second):\n%s", diff)
		}
	})
}

func TestMerge_KeepsEveryLineOfBlockStyle(t *testing.T) {
	t.Parallel()
	forEachConfig(t, func(t *testing.T, text string) {
		t.Helper()
		switch filepath.Base(t.Name()) {
		case "flow.yaml", "generated.json", "empty-patches.yaml", "windows.yaml":
			t.Skip("SKIP: the text is rewritten, because a patch cannot be added as a line")
		}
		left := slices.Collect(strings.Lines(text))
		for line := range strings.Lines(mustMerge(t, text, true)) {
			if len(left) > 0 && line == left[0] {
				left = left[1:]
			}
		}
		if len(left) > 0 {
			t.Errorf("lines are lost or moved, the first of them is %q", left[0])
		}
	})
}

func TestMerge_LetsContainerdReadHosts(t *testing.T) {
	t.Parallel()
	forEachConfig(t, func(t *testing.T, text string) {
		t.Helper()
		for _, part := range yamltext.Split(mustMerge(t, text, false)) {
			cluster, err := parse(part.Text)
			if err != nil || cluster.APIVersion != APIVersion {
				continue // not for kind
			}
			reads, err := node.ReadsCertsDir("containerd github.com/containerd/containerd v1.7.1", patched(t, cluster.ContainerdConfigPatches))
			if !reads || err != nil {
				t.Errorf("ReadsCertsDir = %t, %v, want true for containerd 1.7.1 in\n%s", reads, err, part.Text)
			}
		}
	})
}

func TestMerge_AddsLinesToTheText(t *testing.T) {
	t.Parallel()
	const want = `# Made by hand.
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4

kubeadmConfigPatches: # for the kubelet
  - |
    # Added by setup kind-config: on a host with cgroup v1, the kubelet of Kubernetes 1.35 and later needs this to start.
    kind: KubeletConfiguration
    failCgroupV1: false
  # many pods
  - |
    kind: KubeletConfiguration
    maxPods: 250

nodes:
  - role: control-plane # the only one
containerdConfigPatches:
- |
  # Added by setup kind-config: containerd before 2.2 reads hosts.toml only if it is told where.
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "/etc/containerd/certs.d"
`
	const text = `# Made by hand.
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4

kubeadmConfigPatches: # for the kubelet
  # many pods
  - |
    kind: KubeletConfiguration
    maxPods: 250

nodes:
  - role: control-plane # the only one
`
	if diff := cmp.Diff(want, mustMerge(t, text, true)); diff != "" {
		t.Errorf("Merge (-want +got):\n%s", diff)
	}
}

func TestMerge_AddsNoCgroupPatchOnCgroupV2(t *testing.T) {
	t.Parallel()
	if merged := mustMerge(t, Default, false); strings.Contains(merged, "failCgroupV1") {
		t.Errorf("Merge on a host with cgroup v2 =\n%s", merged)
	}
	if merged := mustMerge(t, Default, true); !strings.Contains(merged, "failCgroupV1: false") {
		t.Errorf("Merge on a host with cgroup v1 =\n%s", merged)
	}
}

// The registry settings in containerd's file: their table in TOML, and their path in a JSON patch.
const (
	containerdJSONField = "containerdConfigPatchesJSON6902"
	registryTable       = "plugins.\"io.containerd.grpc.v1.cri\".registry"
	registryPath        = "/plugins/io.containerd.grpc.v1.cri/registry"
)

func TestMerge_RejectsWhatKeepsNodesFromTheRegistry(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		field, patch string
		want         error // nil for any error
		words        []string
	}{
		"a mirror": {
			containerdField, "[" + registryTable + ".mirrors.\"docker.io\"]\n  endpoint = [\"http://mirror:5000\"]", node.ErrMirrors,
			[]string{"line 1: ", "describe docker.io in /etc/containerd/certs.d/docker.io/hosts.toml"},
		},
		"a mirror in version 3": {
			containerdField, "version = 3\n[plugins.\"io.containerd.cri.v1.images\".registry.mirrors.\"docker.io\"]\n  endpoint = []",
			node.ErrMirrors, nil,
		},
		"a mirror in a JSON patch": {
			containerdJSONField, `[{"op": "add", "path": "` + registryPath + `", "value": {"mirrors": {"a": {"endpoint": []}}}}]`,
			node.ErrMirrors,
			[]string{"certs.d/a/hosts.toml"},
		},
		"a certificate of a registry": {
			containerdField, "[" + registryTable + ".configs.\"registry.example\".tls]\n  ca_file = \"/ca.crt\"",
			node.ErrTLS,
			[]string{"describe registry.example"},
		},
		"another config_path": {
			containerdField, "[" + registryTable + "]\n  config_path = \"/etc/mine\"", nil,
			[]string{`registry.config_path to "/etc/mine"`, "append :/etc/containerd/certs.d to it"},
		},
		"another config_path in a JSON patch": {
			containerdJSONField, `[{"op": "add", "path": "` + registryPath + `/config_path", "value": "/etc/mine"}]`,
			nil,
			[]string{"append :/etc/containerd/certs.d"},
		},
		"a patch that is not TOML":        {containerdField, "plugins: {}", nil, []string{"an entry of " + containerdField, "write it in TOML"}},
		"a JSON patch that is not JSON":   {containerdJSONField, "- op: add", nil, []string{"an entry of " + containerdJSONField, "RFC 6902"}},
		"a field that kind does not know": {"kubeadmConfigPatch", "x", nil, []string{"kubeadmConfigPatch", "https://kind.sigs.k8s.io"}},
	} {
		document, err := json.Marshal(map[string]any{"kind": "Cluster", "apiVersion": APIVersion, test.field: []string{test.patch}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = Merge(string(document), false)
		if err == nil || test.want != nil && !errors.Is(err, test.want) {
			t.Errorf("%s: Merge = %v, want %v", name, err, test.want)
			continue
		}
		for _, word := range test.words {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%s: Merge = %v, want an error with %q", name, err, word)
			}
		}
	}
}

func TestMerge_AcceptsOtherRegistrySettings(t *testing.T) {
	t.Parallel()
	for name, fields := range map[string]map[string]any{
		"several directories": {containerdField: []string{"[" + registryTable + "]\n  config_path = \"/etc/mine:/etc/containerd/certs.d\""}},
		"an empty table of mirrors": {containerdField: []string{
			"[" + registryTable + ".mirrors]\n[" + registryTable + "]\n  config_path = \"/etc/containerd/certs.d\"",
		}},
		"a JSON patch with our directory": {containerdJSONField: []string{
			`[{"op": "add", "path": "` + registryPath + `", "value": {"config_path": "/etc/containerd/certs.d"}}]`,
		}},
	} {
		fields["kind"], fields["apiVersion"] = "Cluster", APIVersion
		document, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		if merged, err := Merge(string(document), false); merged != string(document) || err != nil {
			t.Errorf("%s: Merge = %s, %v; want it unchanged", name, merged, err)
		}
	}
}

func TestMerge_RejectsTextThatIsNotForKind(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                  "no document has kind Cluster and apiVersion kind.x-k8s.io/v1alpha4",
		"nodes: []\n":                       "no document has kind Cluster",
		"kind: Cluster\n":                   "no document has kind Cluster and apiVersion",
		"kind: Pod\napiVersion: v1\n---\n{": "line 3: parsing YAML",
		"- kind: Cluster\n":                 "no document has kind Cluster",
		"kind: Cluster\napiVersion: kind.sigs.k8s.io/v1alpha3\n": "line 1: apiVersion kind.sigs.k8s.io/v1alpha3, want kind.x-k8s.io/v1alpha4",
	} {
		if _, err := Merge(text, false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Merge(%q) = %v, want %q", text, err, want)
		}
	}
}
