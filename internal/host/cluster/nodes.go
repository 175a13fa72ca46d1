package cluster

import (
	"bytes"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/kind/pkg/cluster/nodes"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/engine"
	"kind-local-registry/internal/host/node"
)

// Nodes returns the cluster's Kubernetes nodes. It returns no nodes if the cluster does not exist.
func (c *Cluster) Nodes() ([]node.Node, error) {
	members, err := c.members(c.Name())
	if err != nil {
		return nil, err
	}
	all := make([]node.Node, 0, len(members))
	for _, member := range members {
		all = append(all, node.Node{Name: member.String(), Runner: runner{member}})
	}
	return all, nil
}

// members returns a kind cluster's Kubernetes nodes.
func (c *Cluster) members(name string) ([]nodes.Node, error) {
	members, err := c.provider(nil).ListInternalNodes(name)
	if err != nil {
		return nil, fmt.Errorf("listing the nodes of kind cluster %s: %w", name, err)
	}
	return members, nil
}

// Others returns the other kind clusters whose nodes pull from the registry. registryHost is the registry's host in image
// references.
func (c *Cluster) Others(ctx context.Context, registryHost string) ([]string, error) {
	all, err := c.provider(nil).List()
	if err != nil {
		return nil, fmt.Errorf("listing kind clusters: %w", err)
	}
	return c.users(ctx, slices.DeleteFunc(all, func(name string) bool { return name == c.Name() }), registryHost)
}

// users returns the clusters among names whose nodes pull from the registry.
func (c *Cluster) users(ctx context.Context, names []string, registryHost string) ([]string, error) {
	var users []string
	for _, name := range names {
		uses, err := c.uses(ctx, name, registryHost)
		if err != nil {
			return nil, err
		}
		if uses {
			users = append(users, name)
		}
	}
	return users, nil
}

// uses reports whether any node of a kind cluster pulls from the registry.
func (c *Cluster) uses(ctx context.Context, name, registryHost string) (bool, error) {
	members, err := c.members(name)
	if err != nil {
		return false, err
	}
	pulls, err := anyPulls(ctx, c.engine, members, registryHost)
	if err != nil {
		return false, fmt.Errorf("checking whether kind cluster %s uses %s: %w", name, config.RegistryContainer, err)
	}
	return pulls, nil
}

// anyPulls reports whether any of the nodes pulls from the registry. It copies each node's hosts.toml, which also works if the
// node is stopped.
func anyPulls[N fmt.Stringer](ctx context.Context, docker *engine.Engine, members []N, registryHost string) (bool, error) {
	file := node.HostsFile(registryHost)
	for _, member := range members {
		files, err := docker.ReadFiles(ctx, member.String(), file)
		if err != nil {
			return false, err
		}
		if content, found := files[path.Base(file)]; found && !node.Foreign(string(content)) {
			return true, nil
		}
	}
	return false, nil
}

// runner runs scripts in a node's container.
type runner struct{ member nodes.Node }

// Run implements node.Runner.
func (r runner) Run(ctx context.Context, script string, args ...string) ([]byte, error) {
	var stdout, stderr bytes.Buffer
	command := r.member.CommandContext(ctx, "sh", append([]string{"-ec", script, "sh"}, args...)...)
	if err := command.SetStdout(&stdout).SetStderr(&stderr).Run(); err != nil {
		if printed := strings.TrimSpace(stderr.String()); printed != "" {
			return nil, fmt.Errorf("%w: %s", err, printed)
		}
		return nil, err
	}
	return stdout.Bytes(), nil
}
