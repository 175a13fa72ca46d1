package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/step"
)

// answerTimeout is how long an API server that is starting may take to answer.
const answerTimeout = 30 * time.Second

// Step returns the step that creates or starts the cluster, and adds it to the kubeconfig. registryHost is the registry's host in
// image references.
func (c *Cluster) Step(registryHost string) step.Step {
	foreign := func(ctx context.Context) ([]step.Change, error) { return c.foreign(ctx, registryHost) }
	return step.Step{Name: "cluster", Check: c.check, Apply: c.apply, Foreign: foreign, Undo: c.undo, Plan: c.plan}
}

// Context returns the name that kind gives the cluster's context in a kubeconfig.
func (c *Cluster) Context() string { return "kind-" + c.Name() }

func (c *Cluster) check(ctx context.Context) (step.State, error) {
	exists, err := c.exists(ctx)
	if err != nil {
		return step.State{}, err
	}
	if !exists {
		return step.State{Detail: "no kind cluster " + c.Name()}, nil
	}
	unfinished, err := c.unfinished(ctx)
	if err != nil {
		return step.State{}, err
	}
	if unfinished {
		return step.State{Detail: "setup was interrupted while it created kind cluster " + c.Name()}, nil
	}
	stopped, err := c.stoppedNodes(ctx)
	if err != nil {
		return step.State{}, err
	}
	if len(stopped) > 0 {
		return step.State{Detail: "stopped: " + strings.Join(stopped, ", ")}, nil
	}
	created, nodes, err := c.origin(ctx)
	if err != nil {
		return step.State{
			Detail: fmt.Sprintf("kind cluster %s does not answer: %v", c.Name(), err),
			Remedy: "see docker logs " + c.Name() + "-control-plane",
		}, nil
	}
	if !hasContext(c.options.Kubeconfig, c.Context()) {
		return step.State{Detail: "the kubeconfig has no context " + c.Context()}, nil
	}
	origin := "adopted"
	if created {
		origin = "created by setup"
	}
	return step.State{OK: true, Detail: fmt.Sprintf("%s, %s, %s", c.Name(), step.Count(nodes, "node"), origin)}, nil
}

// stoppedNodes returns the names of the nodes whose containers are not running, in the order of the addresses that they had, or else in
// the order in which they were last started. Docker gives a node the lowest free address, so nodes that start in this order keep theirs.
func (c *Cluster) stoppedNodes(ctx context.Context) ([]string, error) {
	all, err := c.members(ctx)
	if err != nil {
		return nil, err
	}
	var stopped []string
	started, address := map[string]time.Time{}, map[string]netip.Addr{}
	for _, name := range all {
		found, err := c.engine.Find(ctx, name)
		if err != nil {
			return nil, err
		}
		if found != nil && found.Running() {
			continue
		}
		stopped = append(stopped, name)
		started[name] = found.Started()
		if address[name], err = c.formerAddress(ctx, name); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(stopped, func(a, b string) int {
		return cmp.Or(address[a].Compare(address[b]), started[a].Compare(started[b]))
	})
	return stopped, nil
}

// formerAddress returns the address that a node had when it last started, or the zero Addr if the node did not store it. kind's nodes
// store their addresses to notice a change (kind, images/base/files/usr/local/bin/entrypoint).
func (c *Cluster) formerAddress(ctx context.Context, name string) (netip.Addr, error) {
	for _, file := range []string{"old-ipv4", "old-ipv6"} {
		files, err := c.engine.ReadFiles(ctx, name, "/kind/"+file)
		if err != nil {
			return netip.Addr{}, err
		}
		if address, err := netip.ParseAddr(strings.TrimSpace(string(files[file]))); err == nil {
			return address, nil
		}
	}
	return netip.Addr{}, nil
}

// origin reports whether setup created the cluster, according to a label on the nodes, and returns the number of nodes. It waits
// for an API server that is still starting.
func (c *Cluster) origin(ctx context.Context) (created bool, nodes int, err error) {
	kube, err := c.Kube()
	if err != nil {
		return false, 0, err
	}
	err = step.Poll(ctx, answerTimeout, func(ctx context.Context) error {
		list, err := kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		nodes = len(list.Items)
		for _, node := range list.Items {
			created = created || node.Labels[config.CreatedLabel] != ""
		}
		return nil
	})
	return created, nodes, err
}

func (c *Cluster) apply(ctx context.Context, progress step.Progress) error {
	exists, err := c.exists(ctx)
	if err != nil {
		return err
	}
	unfinished, err := c.unfinished(ctx)
	if err != nil {
		return err
	}
	if exists && !unfinished {
		return c.start(ctx)
	}
	if exists {
		progress("deleting the incomplete cluster")
		if err := c.delete(); err != nil {
			return err
		}
	}
	return c.create(ctx, progress)
}

// start starts the stopped nodes of an existing cluster and waits until its API server answers. It starts them in their former order,
// because Docker gives each the lowest free address: if two nodes exchanged their addresses, the routes between them would be wrong
// (https://github.com/kubernetes-sigs/kind/issues/2045). It adds the cluster to the kubeconfig unless the kubeconfig already has the
// cluster's context.
func (c *Cluster) start(ctx context.Context) error {
	stopped, err := c.stoppedNodes(ctx)
	if err != nil {
		return err
	}
	for _, name := range stopped {
		if err := c.engine.Start(ctx, name); err != nil {
			return err
		}
	}
	if _, _, err := c.origin(ctx); err != nil || hasContext(c.options.Kubeconfig, c.Context()) {
		return err
	}
	if err := c.provider(nil).ExportKubeConfig(c.Name(), c.options.Kubeconfig, false); err != nil {
		return fmt.Errorf("adding kind cluster %s to the kubeconfig: %w", c.Name(), err)
	}
	return nil
}

func (c *Cluster) undo(ctx context.Context) (string, error) {
	condition, err := c.Condition(ctx)
	if err != nil {
		return "", err
	}
	switch {
	case !condition.Exists:
		return "nothing to delete", c.engine.RemoveVolume(ctx, c.unfinishedVolume())
	case !condition.Created && !condition.Answers:
		return "", step.Remedy(fmt.Errorf("kind cluster %s does not answer, so setup cannot tell whether it created the cluster", c.Name()),
			"delete it with kind delete cluster --name "+c.Name())
	case !condition.Created:
		return c.Name() + " kept: setup only adopted it", nil
	}
	return c.Name() + " deleted", errors.Join(c.delete(), c.engine.RemoveVolume(ctx, c.unfinishedVolume()))
}
