package node

import (
	"context"
	"strings"

	"k8s.io/apimachinery/pkg/util/version"

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
		containerd, err := n.restartContainerd(ctx)
		if err != nil {
			return changes, err
		}
		changes = append(changes, containerd)
	}
	kubelet, err := n.CheckKubelet(ctx)
	if err != nil || kubelet == "" {
		return changes, err
	}
	return append(changes, step.Change{
		Action: step.Replace, Kind: step.File, Name: KubeletConfig, Node: n.Name,
		Detail: "a line is added, so that delivered images also run under their own names", Back: "setup down removes the line",
	}, n.restartKubelet()), nil
}

// keepsRunning explains a restart after which all containers still run.
const keepsRunning = "running containers keep running"

// restartKubelet returns the change that restarts the node's kubelet.
func (n Node) restartKubelet() step.Change {
	return step.Change{Action: step.Restart, Kind: step.Service, Name: "kubelet", Node: n.Name, Detail: keepsRunning}
}

// restartContainerd returns the change that restarts the node's containerd.
func (n Node) restartContainerd(ctx context.Context) (step.Change, error) {
	found, err := n.ContainerdVersion(ctx)
	detail := keepsRunning
	if mayReplacePods(found) {
		detail = "pods on the host's network may be replaced; on a control plane, setup waits for the API server"
	}
	return step.Change{Action: step.Restart, Kind: step.Service, Name: "containerd", Node: n.Name, Detail: detail}, err
}

// keepsSandboxes is the oldest version of containerd that was seen to keep all sandboxes when it was restarted.
var keepsSandboxes = version.MustParseGeneric("2.3")

// mayReplacePods reports whether the kubelet may replace pods after this version of containerd was restarted; see keepingControlPlane.
func mayReplacePods(containerd string) bool {
	found, err := version.ParseGeneric(containerd)
	return err != nil || found.LessThan(keepsSandboxes)
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
			if change, err = n.restartContainerd(ctx); err != nil {
				return nil, err
			}
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
		changes = append(changes, n.restartKubelet())
	}
	return changes, nil
}
