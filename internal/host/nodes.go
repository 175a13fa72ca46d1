package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"sigs.k8s.io/kind/pkg/cluster/nodes"
	"sigs.k8s.io/kind/pkg/exec"

	"kind-local-registry/config"
	nodefiles "kind-local-registry/internal/host/node"
)

// saved is the suffix of a file on a node that was there before setup wrote its own.
const saved = ".before-kind-local-registry"

func (s *System) nodesStep() Step {
	return Step{Name: "nodes", InCluster: true, Check: s.checkNodes, Apply: s.applyNodes, Undo: s.undoNodes}
}

// checkNodes says whether every node sends pulls for the registry's host to the registry's container.
func (s *System) checkNodes(ctx context.Context) (State, error) {
	all, err := s.nodes()
	if err != nil {
		return State{}, err
	}
	if len(all) == 0 {
		return State{Detail: "no kind cluster " + s.Cluster()}, nil
	}
	for _, node := range all {
		detail, err := s.checkNode(ctx, node)
		if err != nil {
			return State{}, err
		}
		if detail != "" {
			return State{Detail: detail}, nil
		}
	}
	return State{OK: true, Detail: fmt.Sprintf("%s, where %s is %s", countOf(len(all), "node"), s.registryHost(), config.RegistryContainer)}, nil
}

// checkNode returns what is wrong with the node, or "".
func (s *System) checkNode(ctx context.Context, node nodes.Node) (string, error) {
	file := nodefiles.HostsFile(s.registryHost())
	written, err := readFile(ctx, node, file)
	if err != nil {
		return fmt.Sprintf("node %s does not run, or cannot be read", node), nil //nolint:nilerr // a state, not a failure
	}
	if written != nodefiles.Hosts() {
		return fmt.Sprintf("node %s has no %s of ours", node, file), nil
	}
	reads, err := readsCertsDir(ctx, node)
	if err == nil && !reads {
		return fmt.Sprintf("containerd on node %s does not read %s", node, nodefiles.CertsDir), nil
	}
	return "", err
}

func (s *System) applyNodes(ctx context.Context, progress Progress) error {
	all, err := s.nodes()
	if err != nil {
		return err
	}
	for _, node := range all {
		progress(node.String())
		if err := s.configureNode(ctx, node); err != nil {
			return fmt.Errorf("configuring node %s: %w", node, err)
		}
	}
	return nil
}

func (s *System) configureNode(ctx context.Context, node nodes.Node) error {
	file := nodefiles.HostsFile(s.registryHost())
	if err := replaceFile(ctx, node, file, nodefiles.Hosts(), isForeignHosts); err != nil {
		return err
	}
	reads, err := readsCertsDir(ctx, node)
	if errors.Is(err, nodefiles.ErrMirrors) {
		return remedy(err, "remove registry.mirrors from "+nodefiles.ContainerdConfig+" or create the cluster without that patch")
	}
	if err != nil || reads {
		return err
	}
	before, err := readFile(ctx, node, nodefiles.ContainerdConfig)
	if err != nil {
		return err
	}
	after, err := nodefiles.WithCertsDir([]byte(before))
	if err != nil {
		return err
	}
	if err := replaceFile(ctx, node, nodefiles.ContainerdConfig, string(after), always); err != nil {
		return err
	}
	return run(node.CommandContext(ctx, "systemctl", "restart", "containerd"))
}

// undoNodes removes our file from every node, and puts back what was there before.
func (s *System) undoNodes(ctx context.Context) (string, error) {
	all, err := s.nodes()
	if err != nil {
		return "", err
	}
	if len(all) == 0 {
		return "there were none", nil
	}
	for _, node := range all {
		if err := s.restoreNode(ctx, node); err != nil {
			return "", fmt.Errorf("restoring node %s: %w", node, err)
		}
	}
	return countOf(len(all), "node") + " restored", nil
}

func (s *System) restoreNode(ctx context.Context, node nodes.Node) error {
	hosts := nodefiles.HostsFile(s.registryHost())
	// Only a file with our mark is removed; a directory that is not empty stays.
	script := fmt.Sprintf(`
if grep -qsxF %[1]q %[2]q; then rm -f %[2]q; fi
if [ -e %[2]q%[4]s ]; then mv %[2]q%[4]s %[2]q; fi
rmdir %[3]q 2>/dev/null || true
if [ -e %[5]q%[4]s ]; then mv %[5]q%[4]s %[5]q; systemctl restart containerd; fi`,
		nodefiles.HostsMark, hosts, path.Dir(hosts), saved, nodefiles.ContainerdConfig)
	return run(node.CommandContext(ctx, "sh", "-ec", script))
}

// readsCertsDir asks containerd on the node for its version and its effective configuration.
func readsCertsDir(ctx context.Context, node nodes.Node) (bool, error) {
	var said bytes.Buffer
	if err := run(node.CommandContext(ctx, "sh", "-ec", "containerd --version; containerd config dump").SetStdout(&said)); err != nil {
		return false, err
	}
	version, dump, _ := bytes.Cut(said.Bytes(), []byte("\n"))
	return nodefiles.ReadsCertsDir(string(version), dump)
}

// readFile returns a file of the node, or "" where there is none.
func readFile(ctx context.Context, node nodes.Node, file string) (string, error) {
	var content bytes.Buffer
	err := run(node.CommandContext(ctx, "sh", "-ec", `if [ -e "$1" ]; then cat "$1"; fi`, "sh", file).SetStdout(&content))
	return content.String(), err
}

// replaceFile writes a file of the node, all or nothing. What was there is kept beside it where keep says so.
func replaceFile(ctx context.Context, node nodes.Node, file, content string, keep func(string) bool) error {
	before, err := readFile(ctx, node, file)
	if err != nil {
		return err
	}
	script := `mkdir -p "$(dirname "$1")"; cat >"$1.new"; `
	if before != "" && keep(before) {
		script += `[ -e "$1` + saved + `" ] || cp -p "$1" "$1` + saved + `"; `
	}
	script += `mv "$1.new" "$1"`
	return run(node.CommandContext(ctx, "sh", "-ec", script, "sh", file).SetStdin(strings.NewReader(content)))
}

func isForeignHosts(content string) bool { return !strings.HasPrefix(content, nodefiles.HostsMark) }

func always(string) bool { return true }

// run runs a command on a node; its error carries the command and what it printed.
func run(command exec.Cmd) error {
	var complaint bytes.Buffer
	if err := command.SetStderr(&complaint).Run(); err != nil {
		if said := strings.TrimSpace(complaint.String()); said != "" {
			return fmt.Errorf("%w: %s", err, said)
		}
		return err
	}
	return nil
}
