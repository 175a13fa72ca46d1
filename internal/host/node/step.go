package node

import (
	"context"
	"fmt"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/step"
)

// Nodes represents a kind cluster's nodes.
type Nodes struct {
	// Cluster is the cluster's name.
	Cluster string
	// RegistryHost is the registry's host in image references, such as localhost:5001.
	RegistryHost string
	// List returns the nodes. It returns no nodes if the cluster does not exist.
	List func() ([]Node, error)
}

// Preflight returns an error with a remedy if a node that runs cannot be configured.
func (n Nodes) Preflight(ctx context.Context) error {
	nodes, err := n.List()
	if err != nil {
		return err
	}
	for _, node := range nodes {
		if err := node.Preflight(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Step returns the step that configures every node.
func (n Nodes) Step() step.Step {
	return step.Step{Name: "nodes", InCluster: true, Check: n.check, Apply: n.apply, Foreign: n.foreign, Undo: n.undo, Plan: n.plan}
}

func (n Nodes) check(ctx context.Context) (step.State, error) {
	nodes, err := n.List()
	if err != nil {
		return step.State{}, err
	}
	if len(nodes) == 0 {
		return step.State{Detail: "no kind cluster " + n.Cluster}, nil
	}
	for _, node := range nodes {
		missing, err := node.Check(ctx, n.RegistryHost)
		if err != nil {
			return step.State{}, fmt.Errorf("checking node %s: %w", node.Name, err)
		}
		if missing != "" {
			return step.State{Detail: missing}, nil
		}
	}
	return step.State{
		OK: true, Detail: fmt.Sprintf("%s, where %s is %s", step.Count(len(nodes), "node"), n.RegistryHost, config.RegistryContainer),
	}, nil
}

func (n Nodes) apply(ctx context.Context, progress step.Progress) error {
	nodes, err := n.List()
	if err != nil {
		return err
	}
	for _, node := range nodes {
		progress(node.Name)
		err := node.keepingControlPlane(ctx, progress, func() error { return node.Configure(ctx, n.RegistryHost) })
		if err != nil {
			return fmt.Errorf("configuring node %s: %w", node.Name, err)
		}
	}
	return nil
}

// foreign lists the files that Configure would replace on the nodes. It omits nodes that are not running: nothing on them can be
// read, and Configure keeps a copy of each file that it replaces.
func (n Nodes) foreign(ctx context.Context) ([]step.Change, error) {
	nodes, err := n.List()
	if err != nil {
		return nil, err
	}
	var all []step.Change
	for _, node := range nodes {
		changes, err := node.Foreign(ctx, n.RegistryHost)
		if err == nil {
			all = append(all, changes...)
		}
	}
	return all, nil
}

// plan lists what Restore would do on the nodes.
func (n Nodes) plan(ctx context.Context) ([]step.Change, error) {
	nodes, err := n.List()
	if err != nil {
		return nil, err
	}
	var all []step.Change
	for _, node := range nodes {
		changes, err := node.Plan(ctx, n.RegistryHost)
		if err != nil {
			return nil, fmt.Errorf("reading files on node %s: %w", node.Name, err)
		}
		all = append(all, changes...)
	}
	return all, nil
}

func (n Nodes) undo(ctx context.Context) (string, error) {
	nodes, err := n.List()
	if err != nil {
		return "", err
	}
	if len(nodes) == 0 {
		return "nothing to restore", nil
	}
	for _, node := range nodes {
		err := node.keepingControlPlane(ctx, func(string) {}, func() error { return node.Restore(ctx, n.RegistryHost) })
		if err != nil {
			return "", fmt.Errorf("restoring node %s: %w", node.Name, err)
		}
	}
	return step.Count(len(nodes), "node") + " restored", nil
}
