package node

import (
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// runContainerd gives the node a running containerd with that environment.
func (r root) runContainerd(t *testing.T, variables ...string) {
	t.Helper()
	process := exec.CommandContext(t.Context(), "sleep", "600")
	process.Env = append([]string{"PATH=/none"}, variables...)
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = process.Process.Kill(); _ = process.Wait() })
	r.write(t, "/run/pid", strconv.Itoa(process.Process.Pid)+"\n")
}

func TestNode_KeepsPullsFromProxies(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		environment []string
		noProxy     string // in the file; "" for no file
		missing     string
	}{
		"no variable":            {},
		"no proxy":               {environment: []string{"HTTP_PROXY=", "NO_PROXY="}},
		"a proxy for HTTPS only": {environment: []string{"HTTPS_PROXY=http://proxy:3128"}},
		"kind's NO_PROXY": {
			environment: []string{"HTTP_PROXY=http://me:secret@proxy:3128", "NO_PROXY=172.18.0.0/16,kind-control-plane,.svc"},
			noProxy:     "172.18.0.0/16,kind-control-plane,.svc,kind-registry",
			missing:     "containerd on node n sends pulls from kind-registry to the proxy http://me:xxxxx@proxy:3128",
		},
		"no NO_PROXY, in lower case": {
			environment: []string{"http_proxy=proxy:3128"}, noProxy: "kind-registry",
			missing: "containerd on node n sends pulls from kind-registry to the proxy http://proxy:3128",
		},
		"special characters": {
			environment: []string{"HTTP_PROXY=http://proxy", `NO_PROXY=a%20b"\`}, noProxy: `a%%20b\"\\,kind-registry`,
			missing: "containerd on node n sends pulls from kind-registry to the proxy http://proxy",
		},
		"the registry is excluded after a subnet": {environment: []string{"HTTP_PROXY=http://proxy:3128", "NO_PROXY=10.0.0.0/8,kind-registry"}},
		"the registry is excluded":                {environment: []string{"HTTP_PROXY=http://proxy", "NO_PROXY=x, kind-registry"}},
		"everything is excluded":                  {environment: []string{"HTTP_PROXY=http://proxy", "no_proxy=*"}},
		"a longer name is excluded": {
			environment: []string{"HTTP_PROXY=http://proxy", "NO_PROXY=my-kind-registry"}, noProxy: "my-kind-registry,kind-registry",
			missing: "containerd on node n sends pulls from kind-registry to the proxy http://proxy",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRoot(t, readsIt)
			r.write(t, HostsFile(registryHost), Hosts())
			r.runContainerd(t, test.environment...)
			n := Node{Name: "n", Runner: r}
			before := r.filesBelow(t, "etc")[ProxyConfig]
			if missing, err := n.Check(t.Context(), registryHost); missing != test.missing || err != nil {
				t.Errorf("Check = %q, %v; want %q", missing, err, test.missing)
			}
			if err := n.Configure(t.Context(), registryHost); err != nil {
				t.Fatal(err)
			}
			want, calls := "", ""
			if test.noProxy != "" {
				want, calls = proxyDropIn(test.noProxy), "daemon-reload\nrestart containerd\n"
			}
			if got := r.files(t)[ProxyConfig]; got != want || r.systemctl(t) != calls {
				t.Errorf("after Configure, calls of systemctl %q and the file\n%s\nwant %q and\n%s", r.systemctl(t), got, calls, want)
			}
			if err := n.Restore(t.Context(), registryHost); err != nil {
				t.Fatal(err)
			}
			if got := r.files(t)[ProxyConfig]; got != before || r.systemctl(t) != strings.Repeat(calls, 2) {
				t.Errorf("after Restore, calls of systemctl %q and the file\n%s\nwant none", r.systemctl(t), got)
			}
		})
	}
}

// proxyDropIn returns the file that adds the registry to NO_PROXY.
func proxyDropIn(noProxy string) string {
	return HostsMark + "\n[Service]\nEnvironment=\"NO_PROXY=" + noProxy + "\" \"no_proxy=" + noProxy + "\"\n"
}

func TestNode_RestoreKeepsAForeignDropIn(t *testing.T) {
	t.Parallel()
	r := newRoot(t, readsIt)
	r.write(t, ProxyConfig, "[Service]\nEnvironment=\"NO_PROXY=mine\"\n")
	restoreTwice(t, r, 0)
	if got := r.files(t)[ProxyConfig]; !strings.Contains(got, "mine") {
		t.Errorf("the file is %q, want it unchanged", got)
	}
}
