package node

import (
	"errors"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// program makes the fake node run a shell script as a program.
func (r root) program(t *testing.T, name, script string) {
	t.Helper()
	r.write(t, "/bin/"+name, "#!/bin/sh\n"+script)
	r.makeExecutable(t, name)
}

func TestNode_WriteHostsNeverReplacesAForeignFile(t *testing.T) {
	t.Parallel()
	r := newRoot(t, readsIt)
	n := Node{Name: "kind-worker", Runner: r}
	if err := n.WriteHosts(t.Context(), registryHost); err != nil {
		t.Fatal(err)
	}
	if wrong, err := n.CheckHosts(t.Context(), registryHost); wrong != "" || err != nil {
		t.Errorf("CheckHosts after WriteHosts = %q, %v", wrong, err)
	}
	const foreign = "server = \"http://other\"\n"
	r.write(t, HostsFile(registryHost), foreign)
	if err := n.WriteHosts(t.Context(), registryHost); !errors.Is(err, ErrForeignHosts) {
		t.Errorf("WriteHosts = %v, want %v", err, ErrForeignHosts)
	}
	if got := r.files(t)[HostsFile(registryHost)]; got != foreign {
		t.Errorf("hosts.toml = %q, want the foreign file", got)
	}
}

func TestNode_ResolveReturnsEachAddressOnce(t *testing.T) {
	t.Parallel()
	r := newRoot(t, readsIt)
	r.program(t, "getent", `[ "$*" = "ahosts kind-registry" ] || exit 2
printf '172.18.0.5      STREAM kind-registry\n172.18.0.5      DGRAM\nfd00::5 STREAM\n'`)
	n := Node{Name: "kind-worker", Runner: r}
	got, err := n.Resolve(t.Context(), "kind-registry")
	if err != nil || strings.Join(got, " ") != "172.18.0.5 fd00::5" {
		t.Errorf("Resolve = %q, %v", got, err)
	}
	if got, err = n.Resolve(t.Context(), "other"); err != nil || len(got) > 0 {
		t.Errorf("Resolve = %q, %v; want no address", got, err)
	}
}

func TestNode_PullRemovesTheImageAndReportsCrictlsError(t *testing.T) {
	t.Parallel()
	r := newRoot(t, readsIt)
	r.program(t, "crictl", `echo "$@" >>"$ROOT/run/crictl"
[ "$2" != bad ] || { echo "connection refused" >&2; exit 1; }`)
	n := Node{Name: "kind-worker", Runner: r}
	if err := n.Pull(t.Context(), "good"); err != nil {
		t.Fatal(err)
	}
	called, err := os.ReadFile(filepath.Join(string(r), "run/crictl"))
	if err != nil || string(called) != "pull good\nrmi good\n" {
		t.Errorf("crictl was called with %q, %v; want a pull and a removal", called, err)
	}
	if err := n.Pull(t.Context(), "bad"); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("Pull = %v, want crictl's error", err)
	}
}

func TestNode_ClockIsThatOfTheNode(t *testing.T) {
	t.Parallel()
	r := newRoot(t, readsIt)
	r.program(t, "date", "echo 1700000000")
	got, err := Node{Name: "kind-worker", Runner: r}.Clock(t.Context())
	if err != nil || got.Unix() != 1700000000 {
		t.Errorf("Clock = %v, %v", got, err)
	}
}

func TestNode_RoutesHaveAGateway(t *testing.T) {
	t.Parallel()
	r := newRoot(t, readsIt)
	r.program(t, "ip", `if [ "$2" = route ]; then
	echo '[{"dst":"default","gateway":"172.18.0.1"},{"dst":"10.244.0.2","dev":"veth1"},{"dst":"10.244.1.0/24","gateway":"172.18.0.2","flags":[]}]'
else
	echo '[{"dst":"fd00::/64","dev":"eth0"},{"dst":"fd00:10:244:1::/64","gateway":"fd00::2"}]'
fi`)
	got, err := Node{Name: "kind-worker", Runner: r}.Routes(t.Context())
	want := map[netip.Prefix]netip.Addr{
		netip.MustParsePrefix("10.244.1.0/24"):      netip.MustParseAddr("172.18.0.2"),
		netip.MustParsePrefix("fd00:10:244:1::/64"): netip.MustParseAddr("fd00::2"),
	}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("Routes = %v, %v; want %v", got, err, want)
	}
}
