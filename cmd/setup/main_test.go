package main

import (
	"bytes"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/engine/enginetest"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
)

var update = flag.Bool("update", false, "write docs/cli.md")

func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"setup": main, "kind": main}) }

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{Dir: "testdata/script"})
}

// TestScriptsWithDocker runs scripts against a fake Docker daemon. The scripts change the daemon with the commands of fakeHost.
func TestScriptsWithDocker(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/docker",
		Setup: func(env *testscript.Env) error {
			host := fakeHost{enginetest.New(t)}
			env.Values[fakeHost{}] = host
			env.Setenv("DOCKER_HOST", host.Host())
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"cluster":   onHost(func(h fakeHost, args []string) { h.addCluster(args[0], args[1]) }),
			"container": onHost(func(h fakeHost, args []string) { h.addContainer(args[0], args[1]) }),
			"volume":    onHost(func(h fakeHost, args []string) { h.Volumes[args[0]] = true }),
			"image":     onHost(func(h fakeHost, args []string) { h.AddImage(args[0], "sha256:"+args[0]) }),
			"unchanged": wantUnchanged,
		},
	})
}

// onHost returns a command that changes the script's host.
func onHost(change func(host fakeHost, args []string)) func(*testscript.TestScript, bool, []string) {
	return func(script *testscript.TestScript, _ bool, args []string) {
		host := script.Value(fakeHost{}).(fakeHost)
		host.Between(func() { change(host, args) })
	}
}

// wantUnchanged fails the script if the host was changed since the last call or, if negated, if it was not.
func wantUnchanged(script *testscript.TestScript, negated bool, _ []string) {
	var requests []string
	host := script.Value(fakeHost{}).(fakeHost)
	host.Between(func() { requests, host.Requests = host.Requests, nil })
	if changed := len(requests) > 0; changed != negated {
		script.Fatalf("requests that change the daemon: %q", requests)
	}
}

// fakeHost is a host with a fake Docker daemon.
type fakeHost struct{ *enginetest.Daemon }

// addCluster adds a stopped kind cluster that was created by setup or by another tool.
func (h fakeHost) addCluster(name, creator string) {
	node := h.AddContainer(name+"-control-plane", map[string]string{config.ClusterLabel: name})
	node.State = &container.State{Status: container.StateExited}
	node.Files["/kind/kubeadm.conf"] = []byte("node-labels: \"\"\n")
	if creator == "setup" {
		node.Files["/kind/kubeadm.conf"] = []byte("node-labels: \"" + config.CreatedLabel + "=true\"\n")
	}
}

// addContainer adds a stopped container that was created by setup or by another tool, and that publishes port 5099.
func (h fakeHost) addContainer(name, creator string) {
	var labels map[string]string
	if creator == "setup" {
		labels = map[string]string{config.Label: name}
	}
	added := h.AddContainer(name, labels)
	added.State = &container.State{Status: container.StateExited}
	added.HostConfig.PortBindings = network.PortMap{
		network.MustParsePort("5000/tcp"): {{HostIP: netip.MustParseAddr("127.0.0.1"), HostPort: "5099"}},
	}
}

// TestReference_MatchesHelp checks that docs/cli.md contains the current output of --help.
func TestReference_MatchesHelp(t *testing.T) {
	t.Parallel()
	const path = "../../docs/cli.md"
	want := reference(t)
	if *update {
		if err := os.WriteFile(path, want, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs from --help; run make generate:\n%s", path, diff)
	}
}

// reference returns the text of docs/cli.md, which contains the help of every command.
func reference(t *testing.T) []byte {
	t.Helper()
	var page bytes.Buffer
	page.WriteString("# setup\n\nThis page contains the output of `setup help` and of `setup help COMMAND` for every command. `make generate` writes it.\n")
	for _, command := range withSubcommands(newCommand()) {
		args := append([]string{"help"}, strings.Fields(command.CommandPath())[1:]...) // kind --help would print kind's help
		var help bytes.Buffer
		if _, err := run(t.Context(), args, &help, &help); err != nil {
			t.Fatalf("setup %s: %v", strings.Join(args, " "), err)
		}
		fmt.Fprintf(&page, "\n## %s\n\n```text\n%s```\n", command.CommandPath(), help.String())
	}
	return page.Bytes()
}

// withSubcommands returns the command and all commands below it.
func withSubcommands(command *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{command}
	for _, sub := range command.Commands() {
		all = append(all, withSubcommands(sub)...)
	}
	return all
}

var setupCall = regexp.MustCompile(`(?m)^ *(?:\$ )?(?:bin/)?setup +([^#\n|]*)`)

// TestDocumentation_ShowsValidCommands checks that every setup command in the README and the documentation is valid.
func TestDocumentation_ShowsValidCommands(t *testing.T) {
	t.Parallel()
	for _, path := range []string{
		"../../README.md", "../../docs/operations.md", "../../docs/reasons.md", "../../docs/debugging.md", "../../docs/rules.md",
		"../../docs/stack-orchestrator.md", "../../docs/troubleshooting.md", "../../docs/watch.md",
	} {
		page, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, call := range setupCall.FindAllSubmatch(page, -1) {
			args := strings.Fields(strings.NewReplacer("[", "", "]", "").Replace(string(call[1])))
			command, rest, err := newCommand().Find(args)
			if err == nil {
				err = command.ParseFlags(rest)
			}
			if err != nil && len(args) > 0 {
				t.Errorf("%s shows setup %s: %v", path, call[1], err)
			}
		}
	}
}
