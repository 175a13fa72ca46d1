package node

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kind-local-registry/internal/host/step"
)

func TestNode_ForeignListsWhatConfigureReplaces(t *testing.T) {
	t.Parallel()
	hosts := HostsFile(registryHost)
	for name, test := range map[string]struct {
		config, hosts string
		want          []string
	}{
		"nothing there":                       {config: readsIt},
		"our own hosts.toml":                  {config: readsIt, hosts: Hosts()},
		"another tool's hosts.toml":           {config: readsIt, hosts: "server = \"http://other\"\n", want: []string{"replace file " + hosts}},
		"containerd does not read the folder": {config: readsNothing, want: []string{"replace file " + ContainerdConfig, "restart service containerd"}},
	} {
		r := newRoot(t, test.config)
		if test.hosts != "" {
			r.write(t, hosts, test.hosts)
		}
		n := Node{Name: "n", Runner: r}
		before := r.files(t)
		changes, err := n.Foreign(t.Context(), registryHost)
		if diff := cmp.Diff(test.want, described(changes)); err != nil || diff != "" {
			t.Errorf("%s: error %v, foreign (-want +got):\n%s", name, err, diff)
		}
		if diff := cmp.Diff(before, r.files(t)); diff != "" {
			t.Errorf("%s: Foreign changed files (-before +after):\n%s", name, diff)
		}
		if err := n.Configure(t.Context(), registryHost); err != nil {
			t.Fatal(err)
		}
		if changes, err := n.Foreign(t.Context(), registryHost); len(changes) > 0 || err != nil {
			t.Errorf("%s: after Configure, foreign = %+v, %v; want nothing", name, changes, err)
		}
	}
}

// described returns the action, kind and name of each change, without the fake node's root. Each change must name the node.
func described(changes []step.Change) []string {
	var all []string
	for _, c := range changes {
		name := c.Name
		if at := strings.Index(name, "/etc/"); at > 0 {
			name = name[at:]
		}
		if c.Node != "n" {
			name += " on " + c.Node
		}
		all = append(all, string(c.Action)+" "+string(c.Kind)+" "+name)
	}
	return all
}

func TestNode_PlanListsWhatRestoreDoes(t *testing.T) {
	t.Parallel()
	hosts := HostsFile(registryHost)
	for name, test := range map[string]struct {
		config, hosts string
		configured    bool
		want          []string
	}{
		"never configured":         {config: readsIt},
		"not ours":                 {config: readsIt, hosts: "server = \"http://other\"\n"},
		"ours alone":               {config: readsIt, configured: true, want: []string{"delete file " + hosts}},
		"another tool's was there": {config: readsIt, hosts: "server = \"http://other\"\n", configured: true, want: []string{"restore file " + hosts}},
		"containerd was changed too": {
			config: readsNothing, configured: true,
			want: []string{"delete file " + hosts, "restore file " + ContainerdConfig, "restart service containerd"},
		},
	} {
		r := newRoot(t, test.config)
		if test.hosts != "" {
			r.write(t, hosts, test.hosts)
		}
		n := Node{Name: "n", Runner: r}
		if test.configured {
			if err := n.Configure(t.Context(), registryHost); err != nil {
				t.Fatal(err)
			}
		}
		changes, err := n.Plan(t.Context(), registryHost)
		if diff := cmp.Diff(test.want, described(changes)); err != nil || diff != "" {
			t.Errorf("%s: error %v, plan (-want +got):\n%s", name, err, diff)
		}
		if err := n.Restore(t.Context(), registryHost); err != nil {
			t.Fatal(err)
		}
		if changes, err := n.Plan(t.Context(), registryHost); len(changes) > 0 || err != nil {
			t.Errorf("%s: after Restore, plan = %+v, %v; want nothing", name, changes, err)
		}
	}
}

func TestNodes_ForeignOmitsStoppedNodes(t *testing.T) {
	t.Parallel()
	running := newRoot(t, readsIt)
	running.write(t, HostsFile(registryHost), "server = \"http://other\"\n")
	nodes := Nodes{RegistryHost: registryHost, List: func() ([]Node, error) {
		return []Node{{Name: "stopped", Runner: stopped{}}, {Name: "n", Runner: running}}, nil
	}}
	changes, err := nodes.Step().Foreign(t.Context())
	if diff := cmp.Diff([]string{"replace file " + HostsFile(registryHost)}, described(changes)); err != nil || diff != "" {
		t.Errorf("Foreign: error %v, (-want +got):\n%s", err, diff)
	}
	if _, err := nodes.Step().Plan(t.Context()); err == nil || !strings.Contains(err.Error(), "reading files on node stopped") {
		t.Errorf("Plan = %v, want an error that names the node", err)
	}
}

func TestNode_ListsWhatAProxyNeeds(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		config        string
		foreign, plan []string
	}{
		"proxy alone": {
			config: readsIt, foreign: []string{"restart service containerd"},
			plan: []string{"delete file " + HostsFile(registryHost), "delete file " + ProxyConfig, "restart service containerd"},
		},
		"proxy and configuration": {
			config:  readsNothing,
			foreign: []string{"replace file " + ContainerdConfig, "restart service containerd"},
			plan: []string{
				"delete file " + HostsFile(registryHost), "restore file " + ContainerdConfig, "delete file " + ProxyConfig, "restart service containerd",
			},
		},
	} {
		r := newRoot(t, test.config)
		r.runContainerd(t, "HTTP_PROXY=http://proxy:3128")
		n := Node{Name: "n", Runner: r}
		changes, err := n.Foreign(t.Context(), registryHost)
		wantChanges(t, name, changes, err, test.foreign...)
		if err := n.Configure(t.Context(), registryHost); err != nil {
			t.Fatal(err)
		}
		changes, err = n.Plan(t.Context(), registryHost)
		wantChanges(t, name, changes, err, test.plan...)
		if err := n.Restore(t.Context(), registryHost); err != nil {
			t.Fatal(err)
		}
		changes, err = n.Plan(t.Context(), registryHost)
		wantChanges(t, name+": after Restore", changes, err)
	}
}

func TestNode_ListsWhatTheKubeletNeeds(t *testing.T) {
	t.Parallel()
	const record = imageRecords + "/pulled/sha256-0"
	for name, test := range map[string]struct {
		version, record string
		foreign, plan   []string
	}{
		"no policy is needed": {version: "v1.34.9"},
		"a policy is needed": {
			version: "v1.37.2", foreign: []string{"replace file " + KubeletConfig, "restart service kubelet"},
			plan: []string{"restore file " + KubeletConfig, "restart service kubelet"},
		},
		"the registry's image is remembered": {
			version: "v1.34.9", record: `{"credentialMapping":{"localhost:5001/a":{"nodePodsAccessible":true}}}`,
			plan: []string{"restore file " + imageRecords, "restart service kubelet"},
		},
		"another image is remembered": {version: "v1.34.9", record: `{"credentialMapping":{"docker.io/a":{"nodePodsAccessible":true}}}`},
	} {
		r := newRoot(t, readsIt)
		r.withKubelet(t, test.version, kubeadmConfig)
		if test.record != "" {
			r.write(t, record, test.record)
		}
		n := Node{Name: "n", Runner: r}
		changes, err := n.Foreign(t.Context(), registryHost)
		wantChanges(t, name, changes, err, test.foreign...)
		if err := n.Configure(t.Context(), registryHost); err != nil {
			t.Fatal(err)
		}
		changes, err = n.Foreign(t.Context(), registryHost)
		wantChanges(t, name+": after Configure", changes, err)
		changes, err = n.Plan(t.Context(), registryHost)
		wantChanges(t, name, changes, err, append([]string{"delete file " + HostsFile(registryHost)}, test.plan...)...)
		if err := n.Restore(t.Context(), registryHost); err != nil {
			t.Fatal(err)
		}
		changes, err = n.Plan(t.Context(), registryHost)
		wantChanges(t, name+": after Restore", changes, err)
	}
}

// wantChanges fails the test unless the changes are as wanted and there is no error. what names the case.
func wantChanges(t *testing.T, what string, changes []step.Change, err error, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, described(changes)); err != nil || diff != "" {
		t.Errorf("%s: error %v, changes (-want +got):\n%s", what, err, diff)
	}
}
