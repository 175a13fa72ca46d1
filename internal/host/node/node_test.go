package node

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	readsIt      = "version = 3\n[plugins.'io.containerd.cri.v1.images'.registry]\nconfig_path = '/etc/containerd/certs.d'\n"
	readsNothing = "version = 3\n"
	hasTLSTable  = "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.registry.configs.'reg.example'.tls]\nca_file = '/ca'\n"
	hasMirrors   = "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.registry.mirrors.'docker.io']\nendpoint = ['http://mirror']\n"
)

func TestNode_RestoreUndoesConfigure(t *testing.T) {
	t.Parallel()
	hosts := HostsFile(registryHost)
	const foreign = "# mine: \"quoted\" $HOME `id`\nserver = \"http://other\"\n\n"
	for name, test := range map[string]struct {
		config, hosts string
		restarts      int // after Configure
	}{
		"containerd reads the directory":                {config: readsIt},
		"containerd has to be told":                     {config: readsNothing, restarts: 1},
		"another tool's hosts.toml":                     {config: readsIt, hosts: foreign},
		"another tool's hosts.toml, containerd is told": {config: readsNothing, hosts: foreign, restarts: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRoot(t, test.config)
			if test.hosts != "" {
				r.write(t, hosts, test.hosts)
			}
			before := r.files(t)
			configureTwice(t, r, test.restarts)
			restoreTwice(t, r, 2*test.restarts)
			after := r.files(t)
			if len(after) != len(before) || after[hosts] != before[hosts] || after[ContainerdConfig] != before[ContainerdConfig] {
				t.Errorf("files are %q, want %q", after, before)
			}
			if test.hosts == "" && r.exists(filepath.Dir(hosts)) {
				t.Errorf("%s still exists", filepath.Dir(hosts))
			}
		})
	}
}

// configureTwice configures the node twice, so that the second run finds what the first wrote. It checks that containerd was
// restarted the given number of times.
func configureTwice(t *testing.T, r root, restarts int) {
	t.Helper()
	node := Node{Name: "node", Runner: r}
	for range 2 {
		if err := node.Configure(t.Context(), registryHost); err != nil {
			t.Fatal(err)
		}
	}
	if got := r.files(t)[HostsFile(registryHost)]; got != Hosts() {
		t.Errorf("hosts.toml is\n%s\nwant\n%s", got, Hosts())
	}
	if missing, err := node.Check(t.Context(), registryHost); missing != "" || err != nil {
		t.Errorf("Check after Configure = %q, %v", missing, err)
	}
	if got := r.restarts(t); got != restarts {
		t.Errorf("containerd was restarted %d times, want %d", got, restarts)
	}
}

// restoreTwice restores the node twice, so that the second run finds nothing to restore. It checks that containerd has been
// restarted the given number of times since the node was created.
func restoreTwice(t *testing.T, r root, restarts int) {
	t.Helper()
	for range 2 {
		if err := (Node{Name: "node", Runner: r}).Restore(t.Context(), registryHost); err != nil {
			t.Fatal(err)
		}
	}
	if got := r.restarts(t); got != restarts {
		t.Errorf("containerd was restarted %d times, want %d", got, restarts)
	}
}

func TestNode_RestoreKeepsForeignFiles(t *testing.T) {
	t.Parallel()
	r := newRoot(t, readsIt)
	r.write(t, HostsFile(registryHost), "server = \"http://other\"\n")
	r.write(t, HostsFile("localhost:1"), Hosts())
	before := r.files(t)
	if err := (Node{Runner: r}).Restore(t.Context(), registryHost); err != nil {
		t.Fatal(err)
	}
	if after := r.files(t); len(after) != len(before) || after[HostsFile(registryHost)] != before[HostsFile(registryHost)] {
		t.Errorf("files are %q, want %q", after, before)
	}
}

func TestNode_RestoreRemovesWhatAnInterruptedRunLeft(t *testing.T) {
	t.Parallel()
	r := newRoot(t, readsIt)
	r.write(t, HostsFile(registryHost), Hosts())
	for _, file := range []string{HostsFile(registryHost), ContainerdConfig} {
		r.write(t, file+".new", "half")
		r.write(t, file+backup+".new", "half")
	}
	if err := (Node{Runner: r}).Restore(t.Context(), registryHost); err != nil {
		t.Fatal(err)
	}
	if after := r.files(t); len(after) != 1 || after[ContainerdConfig] != readsIt {
		t.Errorf("files are %q, want containerd's configuration alone", after)
	}
}

func TestNode_RejectsObsoleteTablesBeforeAChange(t *testing.T) {
	t.Parallel()
	for config, want := range map[string]error{hasMirrors: ErrMirrors, hasTLSTable: ErrTLS} {
		r := newRoot(t, config)
		before := r.files(t)
		n := Node{Name: "n", Runner: r}
		for call, err := range map[string]error{"Preflight": n.Preflight(t.Context()), "Configure": n.Configure(t.Context(), registryHost)} {
			if !errors.Is(err, want) || !strings.HasPrefix(err.Error(), "node n: ") || !strings.Contains(err.Error(), "remove the tables") {
				t.Errorf("%s = %v, want %v with the node and a remedy", call, err, want)
			}
		}
		if diff := cmp.Diff(before, r.files(t)); diff != "" || r.systemctl(t) != "" {
			t.Errorf("calls of systemctl %q, files (-before +after):\n%s", r.systemctl(t), diff)
		}
	}
	if err := (Node{Runner: stopped{}}).Preflight(t.Context()); err != nil {
		t.Errorf("Preflight of a stopped node = %v", err)
	}
}

func TestNode_ConfigureKeepsAContainerdThatDoesNotStart(t *testing.T) {
	t.Parallel()
	r := newRoot(t, readsNothing)
	r.write(t, "/bin/systemctl", "#!/bin/sh\n"+showsPID+"echo \"$@\" >>\"$ROOT/run/systemctl\"\n! grep -q config_path \"$ROOT"+ContainerdConfig+"\"\n")
	r.makeExecutable(t, "systemctl")
	err := Node{Runner: r}.Configure(t.Context(), registryHost)
	if err == nil || !strings.Contains(err.Error(), "config.toml, so the file was restored; see journalctl") {
		t.Errorf("Configure = %v, want an error that says that the file was restored", err)
	}
	if files := r.files(t); files[ContainerdConfig] != readsNothing || len(files) != 2 || r.restarts(t) != 2 {
		t.Errorf("%d restarts, files %q; want the original configuration, without a backup, beside hosts.toml", r.restarts(t), files)
	}
}

func TestNode_CheckSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	withHosts := newRoot(t, readsNothing)
	withHosts.write(t, HostsFile(registryHost), Hosts())
	for want, runner := range map[string]Runner{
		"node n does not have our /etc/containerd/certs.d/localhost:5001/hosts.toml": newRoot(t, readsIt),
		"containerd on node n does not read /etc/containerd/certs.d":                 withHosts,
		"node n is not running, or its files cannot be read":                         stopped{},
	} {
		if got, err := (Node{Name: "n", Runner: runner}).Check(t.Context(), registryHost); got != want || err != nil {
			t.Errorf("Check = %q, %v; want %q", got, err, want)
		}
	}
}

// errStopped is the error from a node that is not running.
var errStopped = errors.New("container is not running")

// stopped is a node that is not running.
type stopped struct{}

func (stopped) Run(context.Context, string, ...string) ([]byte, error) { return nil, errStopped }

func TestWriteScript_WritesEveryValueUnchanged(t *testing.T) {
	t.Parallel()
	r := newRoot(t, readsIt)
	for _, path := range []string{"/etc/plain", "/etc/a b/c d", "/etc/it's \"$HOME\" `id`", "/etc/-e", "/etc/new\nline"} {
		for _, content := range []string{"", "a", "a\n\n", "-n", `%s\n\\ 'a' "b" $HOME $(id)`, "tab\tand ünïcode ✓\n"} {
			if _, err := r.Run(t.Context(), writeScript, path, content, ""); err != nil {
				t.Fatalf("writing %q to %q: %v", content, path, err)
			}
			if got, err := r.Run(t.Context(), readScript, path); string(got) != content || err != nil {
				t.Errorf("%q has the content %q, %v; want %q", path, got, err, content)
			}
		}
	}
	for path := range r.files(t) {
		if strings.HasSuffix(path, ".new") {
			t.Errorf("%s still exists", path)
		}
	}
}

func TestWriteScript_KeepsTheFirstBackup(t *testing.T) {
	t.Parallel()
	r := newRoot(t, readsIt)
	const file, copied = "/etc/file", "/etc/file" + backup
	r.write(t, file, "original")
	for _, content := range []string{"first", "second"} {
		if _, err := r.Run(t.Context(), writeScript, file, content, copied); err != nil {
			t.Fatal(err)
		}
	}
	if files := r.files(t); files[file] != "second" || files[copied] != "original" {
		t.Errorf("files are %q, want the second content and the original as its backup", files)
	}
}

func TestWriteScript_KeepsTheFileIfInterrupted(t *testing.T) {
	t.Parallel()
	for command, body := range map[string]string{
		"cp": `echo half >"$3"; exit 1`, // fails while copying the backup
		"mv": "exit 1",
	} {
		r := newRoot(t, readsIt)
		r.write(t, "/etc/file", "original")
		r.write(t, "/bin/"+command, "#!/bin/sh\n"+body+"\n")
		r.makeExecutable(t, command)
		_, err := r.Run(t.Context(), writeScript, "/etc/file", "new", "/etc/file"+backup)
		files := r.files(t)
		if _, copied := files["/etc/file"+backup]; err == nil || files["/etc/file"] != "original" || copied {
			t.Errorf("%s fails: error %v, files %q; want an error and the original without a backup", command, err, files)
		}
	}
}

func TestReadScript_PrintsNothingForAMissingFile(t *testing.T) {
	t.Parallel()
	if got, err := newRoot(t, readsIt).Run(t.Context(), readScript, "/etc/missing"); len(got) > 0 || err != nil {
		t.Errorf("%q, %v; want nothing", got, err)
	}
}
