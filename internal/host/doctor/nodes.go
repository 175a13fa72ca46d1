package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/images"
	"kind-local-registry/internal/host/node"
	"kind-local-registry/internal/host/step"
)

// nodes examines the cluster's nodes.
type nodes struct{ Parts }

func (n nodes) checks() []Check {
	pull := []string{nameCluster, namePusherAPI, nameHosts, nameCertsDir, nameNames, nameNodeProxy, nameDisk}
	return []Check{
		{
			Name: nameClock, After: []string{nameCluster}, Probe: n.clock,
			Why: "certificates are valid only if the clocks agree",
		},
		{
			Name: nameHosts, After: []string{nameCluster}, Probe: n.each(func(ctx context.Context, one node.Node) (string, error) {
				return one.CheckHosts(ctx, n.Nodes.RegistryHost)
			}, "run setup up", "hosts.toml leads to "+config.RegistryContainer), Fix: n.writeHosts, Ours: n.ownsHosts,
			Why: "the node pulls rewritten images from itself, where nothing listens",
		},
		{
			Name: nameCertsDir, After: []string{nameCluster}, Probe: n.each(func(ctx context.Context, one node.Node) (string, error) {
				return one.CheckCertsDir(ctx)
			}, "run setup up, which changes config_path and restarts containerd", "containerd reads "+node.CertsDir),
			Why: "containerd ignores hosts.toml, so the node pulls rewritten images from itself",
		},
		{
			Name: nameNames, After: []string{nameCluster, nameRegistry}, Probe: n.names,
			Why: "hosts.toml leads to this name, so the node pulls from the wrong place",
		},
		{
			Name: nameNodeProxy, After: []string{nameCluster}, Probe: n.each(func(ctx context.Context, one node.Node) (string, error) {
				return one.CheckProxy(ctx)
			}, "run setup up, which adds "+config.RegistryContainer+" to NO_PROXY and restarts containerd", "no proxy for "+config.RegistryContainer),
			Why: "containerd asks the proxy for images of this host's registry, which the proxy cannot reach",
		},
		{
			Name: nameKubelet, After: []string{nameCluster}, Probe: n.each(func(ctx context.Context, one node.Node) (string, error) {
				return one.CheckKubelet(ctx)
			}, "run setup up, which adds a line to the kubelet's configuration and restarts it", "delivered images run under their own names too"),
			Why: "pods that are not rewritten cannot run a delivered image, although it is on the node",
		},
		{
			Name: nameRoutes, After: []string{nameCluster}, Probe: n.routes,
			Why: "pods do not reach pods on other nodes, and the API server does not reach a webhook that runs on another node",
		},
		{
			Name: namePull, After: pull, Probe: n.pull,
			Why: "pods on the node stay in ImagePullBackOff",
		},
	}
}

// each returns a probe that examines every node concurrently. The link is broken if examine describes something wrong on any node, or
// returns an error with a remedy.
func (n nodes) each(
	examine func(context.Context, node.Node) (wrong string, err error), remedy, healthy string,
) func(context.Context) (step.State, error) {
	return func(ctx context.Context) (step.State, error) {
		all, err := n.Nodes.List()
		if err != nil {
			return step.State{}, err
		}
		found, remedies := make([]string, len(all)), make([]string, len(all))
		group, ctx := errgroup.WithContext(ctx)
		for i, one := range all {
			group.Go(func() error {
				wrong, err := examine(ctx, one)
				found[i], remedies[i] = wrong, remedy
				if err != nil {
					found[i], remedies[i] = step.SplitRemedy(err)
				}
				if remedies[i] == "" {
					return err
				}
				return nil
			})
		}
		if err := group.Wait(); err != nil {
			return step.State{}, err
		}
		var wrong, advice []string
		for i := range all {
			if found[i] == "" {
				continue
			}
			wrong = append(wrong, found[i])
			if !slices.Contains(advice, remedies[i]) {
				advice = append(advice, remedies[i])
			}
		}
		if len(wrong) > 0 {
			return step.State{Detail: strings.Join(wrong, "; "), Remedy: strings.Join(advice, "; ")}, nil
		}
		return step.State{OK: true, Detail: step.Count(len(all), "node") + ": " + healthy}, nil
	}
}

// writeHosts writes our hosts.toml on every node that lacks it.
func (n nodes) writeHosts(ctx context.Context, _ step.Progress) error {
	all, err := n.Nodes.List()
	if err != nil {
		return err
	}
	for _, one := range all {
		if err := one.WriteHosts(ctx, n.Nodes.RegistryHost); err != nil {
			return err
		}
	}
	return nil
}

// ownsHosts reports whether no node has another tool's hosts.toml.
func (n nodes) ownsHosts(ctx context.Context) (bool, error) {
	all, err := n.Nodes.List()
	if err != nil {
		return false, err
	}
	for _, one := range all {
		if foreign, err := one.HasForeignHosts(ctx, n.Nodes.RegistryHost); err != nil || foreign {
			return false, err
		}
	}
	return true, nil
}

// names checks that the registry's name resolves to the registry on every node.
func (n nodes) names(ctx context.Context) (step.State, error) {
	ipv4, ipv6, err := n.Registry.Addresses(ctx)
	if err != nil {
		return step.State{}, err
	}
	return n.each(func(ctx context.Context, one node.Node) (string, error) {
		found, err := one.Resolve(ctx, config.RegistryContainer)
		if err != nil {
			return "", err
		}
		if len(found) == 0 {
			return fmt.Sprintf("%s does not resolve on node %s", config.RegistryContainer, one.Name), nil
		}
		for _, address := range found {
			if address != ipv4 && address != ipv6 {
				return fmt.Sprintf("%s resolves to %s on node %s, but is at %s", config.RegistryContainer, address, one.Name, ipv4), nil
			}
		}
		return "", nil
	}, "see /etc/hosts and /etc/resolv.conf on the node (docker exec NODE cat /etc/hosts)", config.RegistryContainer+" is "+ipv4)(ctx)
}

// pull pushes a small image and pulls it on every node.
func (n nodes) pull(ctx context.Context) (step.State, error) {
	client, err := n.Pusher.Connect(ctx)
	if err != nil {
		return step.State{}, err
	}
	defer client.Close()
	reference, err := images.PushProbe(ctx, n.Engine, client, n.Nodes.RegistryHost)
	if err != nil {
		return step.State{}, step.Remedy(err, "see docker logs "+config.PusherContainer)
	}
	return n.each(func(ctx context.Context, one node.Node) (string, error) {
		if err := one.Pull(ctx, reference); err != nil {
			return fmt.Sprintf("node %s cannot pull %s: %v", one.Name, reference, err), nil
		}
		return "", nil
	}, "see journalctl -u containerd on the node (docker exec NODE journalctl -u containerd)", "a pushed image was pulled")(ctx)
}

// maxSkew is how far two clocks may differ. The API server's Date header and a node's answer are exact to a few seconds.
const maxSkew = time.Minute

// clock compares the clocks of the host, the nodes and the API server.
func (n nodes) clock(ctx context.Context) (step.State, error) {
	server, err := n.Cluster.Clock(ctx)
	if err != nil {
		return step.State{}, err
	}
	const remedy = "synchronize the clocks (timedatectl set-ntp true); if Docker runs in a virtual machine, restart it"
	if wrong := skewed("the API server", time.Since(server)); wrong != "" {
		return step.State{Detail: wrong, Remedy: remedy}, nil
	}
	return n.each(func(ctx context.Context, one node.Node) (string, error) {
		now, err := one.Clock(ctx)
		if err != nil {
			return "", err
		}
		return skewed("node "+one.Name, time.Since(now)), nil
	}, remedy, "clocks agree with the host's")(ctx)
}

// skewed describes a clock that differs too much from the host's, or returns "". behind is how much it is behind.
func skewed(whose string, behind time.Duration) string {
	if behind.Abs() <= maxSkew {
		return ""
	}
	direction := "behind"
	if behind < 0 {
		direction = "ahead of"
	}
	return fmt.Sprintf("the clock of %s is %s %s the host's", whose, behind.Abs().Round(time.Second), direction)
}
