package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"path"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/kind/pkg/cluster/nodes"
	kindexec "sigs.k8s.io/kind/pkg/exec"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/engine"
	"kind-local-registry/internal/host/node"
)

// Nodes returns the cluster's Kubernetes nodes. It returns no nodes if the cluster does not exist.
func (c *Cluster) Nodes() ([]node.Node, error) {
	members, err := c.provider(nil).ListInternalNodes(c.Name())
	if err != nil {
		return nil, fmt.Errorf("listing the nodes of kind cluster %s: %w", c.Name(), err)
	}
	all := make([]node.Node, 0, len(members))
	for _, member := range members {
		all = append(all, node.Node{Name: member.String(), Runner: runner{member}})
	}
	return all, nil
}

// Others returns the other kind clusters whose nodes pull from the registry. registryHost is the registry's host in image
// references.
func (c *Cluster) Others(ctx context.Context, registryHost string) ([]string, error) {
	users, err := c.users(ctx, registryHost)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(users, func(cluster string) bool { return cluster == c.Name() }), nil
}

// users returns the sorted names of the kind clusters whose nodes pull from the registry.
func (c *Cluster) users(ctx context.Context, registryHost string) ([]string, error) {
	nodes, err := c.engine.Labelled(ctx, config.ClusterLabel)
	if err != nil {
		return nil, err
	}
	members := map[string][]string{}
	for i := range nodes {
		cluster := nodes[i].Labels[config.ClusterLabel]
		members[cluster] = append(members[cluster], containerName(nodes[i]))
	}
	var users []string
	for _, cluster := range slices.Sorted(maps.Keys(members)) {
		pulls, err := anyPulls(ctx, c.engine, members[cluster], registryHost)
		if err != nil {
			return nil, fmt.Errorf("checking whether kind cluster %s uses %s: %w", cluster, config.RegistryContainer, err)
		}
		if pulls {
			users = append(users, cluster)
		}
	}
	return users, nil
}

// members returns the names of the cluster's containers; see containers.
func (c *Cluster) members(ctx context.Context) ([]string, error) {
	containers, err := c.containers(ctx)
	if err != nil {
		return nil, err
	}
	members := make([]string, 0, len(containers))
	for i := range containers {
		members = append(members, containerName(containers[i]))
	}
	return members, nil
}

// anyPulls reports whether any of the nodes pulls from the registry. It copies each node's hosts.toml, which also works if the
// node is stopped.
func anyPulls(ctx context.Context, docker *engine.Engine, members []string, registryHost string) (bool, error) {
	file := node.HostsFile(registryHost)
	for _, member := range members {
		files, err := docker.ReadFiles(ctx, member, file)
		if err != nil {
			return false, err
		}
		if content, found := files[path.Base(file)]; found && !node.Foreign(string(content)) {
			return true, nil
		}
	}
	return false, nil
}

// docker exec exits with notStarted if it cannot start the command, which happens now and then on a busy machine. Run therefore starts it
// up to maxStarts times.
const (
	notStarted = 126
	maxStarts  = 4
	startRetry = 250 * time.Millisecond
)

// runner runs scripts in a node's container.
type runner struct{ member nodes.Node }

// Run implements node.Runner.
func (r runner) Run(ctx context.Context, script string, args ...string) (stdout []byte, err error) {
	for start := 1; ; start++ {
		stdout, err = r.run(ctx, script, args...)
		if exitCode(err) != notStarted || start == maxStarts {
			return stdout, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(startRetry):
		}
	}
}

// exitCode returns the exit code in an error from kind, or 0 if there is none.
func exitCode(err error) int {
	failed := kindexec.RunErrorForError(err)
	if failed == nil {
		return 0
	}
	if exit, exited := errors.AsType[*exec.ExitError](failed.Inner); exited {
		return exit.ExitCode()
	}
	return 0
}

// run runs a script once.
func (r runner) run(ctx context.Context, script string, args ...string) ([]byte, error) {
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
