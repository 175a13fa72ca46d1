package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"kind-local-registry/internal/host/step"
)

// Node is a kind node.
type Node struct {
	Name string
	Runner
}

// Check describes what prevents the node from pulling from the registry, or from running the pulled images under their original
// names. It returns "" if nothing does.
func (n Node) Check(ctx context.Context, registryHost string) (missing string, err error) {
	hosts, err := n.CheckHosts(ctx, registryHost)
	if err != nil || hosts != "" {
		return hosts, err
	}
	if missing, err = n.CheckCertsDir(ctx); missing != "" || err != nil {
		return missing, err
	}
	if missing, err = n.CheckProxy(ctx); missing != "" || err != nil {
		return missing, err
	}
	return n.CheckKubelet(ctx)
}

// Preflight returns an error with a remedy if containerd's configuration keeps the node from reading CertsDir. It returns nil if the
// node is not running.
func (n Node) Preflight(ctx context.Context) error {
	_, err := n.readsCertsDir(ctx)
	if errors.Is(err, ErrMirrors) || errors.Is(err, ErrTLS) {
		return n.remedy(err)
	}
	return nil
}

// remedy adds to ErrMirrors and ErrTLS which node is meant, and what the user can do.
func (n Node) remedy(err error) error {
	if !errors.Is(err, ErrMirrors) && !errors.Is(err, ErrTLS) {
		return err
	}
	const manual = "https://github.com/containerd/containerd/blob/main/docs/hosts.md"
	return step.Remedy(fmt.Errorf("node %s: %w", n.Name, err), fmt.Sprintf(
		"describe those registries in %s/HOST/hosts.toml, remove the tables from %s and restart containerd, "+
			"or create the cluster without that patch; see %s", CertsDir, ContainerdConfig, manual))
}

// Configure writes the node's hosts.toml, configures containerd to read it and to bypass proxies for the registry, and lets the kubelet
// run delivered images under their original names.
func (n Node) Configure(ctx context.Context, registryHost string) error {
	if err := n.configureContainerd(ctx, registryHost); err != nil {
		return err
	}
	if err := n.configureProxy(ctx); err != nil {
		return err
	}
	return n.configureKubelet(ctx)
}

// configureContainerd writes the node's hosts.toml and configures containerd to read it.
func (n Node) configureContainerd(ctx context.Context, registryHost string) error {
	reads, err := n.readsCertsDir(ctx) // before anything is written
	if err != nil {
		return n.remedy(err)
	}
	file := HostsFile(registryHost)
	before, err := n.read(ctx, file)
	if err != nil {
		return err
	}
	if err := n.write(ctx, file, Hosts(), before != "" && Foreign(before)); err != nil || reads {
		return err
	}
	if before, err = n.read(ctx, ContainerdConfig); err != nil {
		return err
	}
	after, err := WithCertsDir([]byte(before))
	if err != nil {
		return err
	}
	_, err = n.Run(ctx, configureContainerdScript, ContainerdConfig, string(after), backup)
	return err
}

// Restore removes the files that Configure wrote, restores those that it replaced, and removes the kubelet's records of images that
// it pulled from the registry.
func (n Node) Restore(ctx context.Context, registryHost string) error {
	_, err := n.Run(ctx, restoreScript, HostsFile(registryHost), HostsMark, ContainerdConfig, backup)
	return errors.Join(err, n.restoreProxy(ctx), n.restoreKubelet(ctx, registryHost))
}

// ContainerdVersion returns the version of the node's containerd, such as 2.3.4. It returns "" if containerd prints none.
func (n Node) ContainerdVersion(ctx context.Context) (string, error) {
	printed, err := n.Run(ctx, containerdVersionScript)
	if err != nil {
		return "", fmt.Errorf("reading the version of containerd on node %s: %w", n.Name, err)
	}
	return strings.TrimLeft(versionNumber.FindString(string(printed)), "v"), nil
}

// readsCertsDir reports whether containerd on the node reads CertsDir.
func (n Node) readsCertsDir(ctx context.Context) (bool, error) {
	printed, err := n.Run(ctx, containerdScript)
	if err != nil {
		return false, err
	}
	version, dump, _ := bytes.Cut(printed, []byte("\n"))
	return ReadsCertsDir(string(version), dump)
}

// read returns the content of a file, or "" if it does not exist.
func (n Node) read(ctx context.Context, file string) (string, error) {
	content, err := n.Run(ctx, readScript, file)
	return string(content), err
}

// write writes a file. If keep is true, it backs up the file that it replaces.
func (n Node) write(ctx context.Context, file, content string, keep bool) error {
	copyTo := ""
	if keep {
		copyTo = file + backup
	}
	_, err := n.Run(ctx, writeScript, file, content, copyTo)
	return err
}
