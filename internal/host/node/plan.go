package node

import (
	"context"
	"strings"

	"kind-local-registry/internal/host/step"
)

// Foreign lists what Configure would change that setup did not write. It returns an error if the node is not running.
func (n Node) Foreign(ctx context.Context, registryHost string) ([]step.Change, error) {
	file := HostsFile(registryHost)
	hosts, err := n.read(ctx, file)
	if err != nil {
		return nil, err
	}
	var changes []step.Change
	if hosts != "" && Foreign(hosts) {
		changes = append(changes, step.Change{
			Action: step.Replace, Kind: step.File, Name: file, Node: n.Name, Detail: "another tool wrote it", Back: "setup down restores it",
		})
	}
	reads, err := n.readsCertsDir(ctx)
	if err != nil {
		return changes, err
	}
	if !reads {
		changes = append(changes, step.Change{
			Action: step.Replace, Kind: step.File, Name: ContainerdConfig, Node: n.Name,
			Detail: "config_path is set to " + CertsDir, Back: "setup down restores it",
		})
	}
	proxy, err := n.CheckProxy(ctx)
	if err != nil {
		return changes, err
	}
	if !reads || proxy != "" {
		changes = append(changes, containerdRestart(n.Name))
	}
	return changes, nil
}

// containerdRestart returns the change that restarts containerd on a node.
func containerdRestart(node string) step.Change {
	return step.Change{
		Action: step.Restart, Kind: step.Service, Name: "containerd", Node: node, Detail: "running containers keep running",
	}
}

// Plan lists what Restore would do. It returns an error if the node is not running.
func (n Node) Plan(ctx context.Context, registryHost string) ([]step.Change, error) {
	printed, err := n.Run(ctx, planScript, HostsFile(registryHost), HostsMark, ContainerdConfig, backup, ProxyConfig)
	if err != nil {
		return nil, err
	}
	var changes []step.Change
	for line := range strings.Lines(string(printed)) {
		action, file, _ := strings.Cut(strings.TrimSpace(line), " ")
		change := step.Change{Action: step.Action(action), Kind: step.File, Name: file, Node: n.Name}
		switch change.Action {
		case step.Restore:
			change.Detail = "from the copy that setup up kept"
		case step.Restart:
			change = containerdRestart(n.Name)
		}
		changes = append(changes, change)
	}
	return changes, nil
}
