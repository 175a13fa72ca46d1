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
		changes = append(changes, restart("containerd", n.Name))
	}
	kubelet, err := n.CheckKubelet(ctx)
	if err != nil || kubelet == "" {
		return changes, err
	}
	return append(changes, step.Change{
		Action: step.Replace, Kind: step.File, Name: KubeletConfig, Node: n.Name,
		Detail: "a line is added, so that delivered images also run under their own names", Back: "setup down removes the line",
	}, restart("kubelet", n.Name)), nil
}

// restart returns the change that restarts a systemd service on a node.
func restart(service, node string) step.Change {
	return step.Change{Action: step.Restart, Kind: step.Service, Name: service, Node: node, Detail: "running containers keep running"}
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
			change = restart("containerd", n.Name)
		}
		changes = append(changes, change)
	}
	kubelet, err := n.planKubelet(ctx, registryHost)
	return append(changes, kubelet...), err
}

// planKubelet lists what restoreKubelet would do.
func (n Node) planKubelet(ctx context.Context, registryHost string) ([]step.Change, error) {
	found, records, err := n.kubeletLeftovers(ctx, registryHost)
	if err != nil {
		return nil, err
	}
	var changes []step.Change
	if found.hasPolicy() {
		changes = append(changes, step.Change{
			Action: step.Restore, Kind: step.File, Name: KubeletConfig, Node: n.Name, Detail: "without the line that setup up added",
		})
	}
	if len(records) > 0 {
		changes = append(changes, step.Change{
			Action: step.Restore, Kind: step.File, Name: imageRecords, Node: n.Name, Detail: "without the images that were pulled from the registry",
		})
	}
	if len(changes) > 0 {
		changes = append(changes, restart("kubelet", n.Name))
	}
	return changes, nil
}
